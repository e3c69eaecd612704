"""Accuracy reports as they follow from the `outcomes` topic alone: every figure anew from the rows of its window.

The detector's states are in referee_detector.py. What is closed: see `closed_until`.
"""

import bisect
import collections
import math
from fractions import Fraction

import referee_detector
from referee_outcomes import CLIP, f32, probability_up

UNITS = {"s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}
Z = 1.959963984540054
BASELINES = ("majority", "persistence", "reversal")


def micros(interval):
    return int(interval[:-1]) * UNITS[interval[-1]]


def clip(p):
    return min(max(p, CLIP), 1.0 - CLIP)


def closed_until(records):
    """By model, the target time up to which every partition that has not left has passed; all of it where all have left."""
    passed = collections.defaultdict(dict)
    for record in sorted(records, key=lambda record: (record["partition"], record["offset"])):
        value = record["value"]
        if value["kind"] == "progress":
            passed[value["model"]][value["partition"]] = value["time"]
        elif value["kind"] == "left":
            passed[value["model"]].pop(value["partition"], None)
    models = {record["value"]["model"] for record in records}
    return {model: min(passed[model].values(), default=math.inf) for model in models}


def cohorts_of(records):
    """{(model, version, interval, horizon): [(target, its outcomes in order of symbol)]}, in order of target; closed ones only."""
    until = closed_until(records)
    tracks = collections.defaultdict(lambda: collections.defaultdict(list))
    for value in (record["value"] for record in records):
        if value["kind"] == "outcome" and value["target_time"] <= until[value["model"]]:
            track = (value["model"], value["model_version"], value["interval"], value["horizon"])
            tracks[track][value["target_time"]].append(value)
    in_order = {}
    for track, cohorts in sorted(tracks.items()):
        for rows in cohorts.values():
            rows.sort(key=lambda row: row["symbol"])
        in_order[track] = sorted(cohorts.items())
    return in_order


def did_move(row):
    return row["realised"] in ("up", "down")


def counts(rows):
    """Of one cohort: rows that moved, of these up; rows that moved after a return other than zero, of these in its direction."""
    moved = [row for row in rows if did_move(row)]
    led = [row for row in moved if row["prior_return_bps"]]
    went_on = [row for row in led if (row["prior_return_bps"] > 0) == (row["realised"] == "up")]
    return [len(moved), sum(row["realised"] == "up" for row in moved), len(led), len(went_on)]


def baseline_forecasts(row, known):
    """(probability of up, says up) of each baseline; `known` are faded counts."""
    moved, ups, led, went_on = known
    majority = ((ups + 1) / (moved + 2), 2 * ups >= moved)
    if not row["prior_return_bps"]:
        return dict.fromkeys(BASELINES, majority)
    rose, goes_on = row["prior_return_bps"] > 0, (went_on + 1) / (led + 2)
    up = goes_on if rose else 1 - goes_on
    return {"majority": majority, "persistence": (up, rose), "reversal": (up, not rose)}


def give_baselines(cohorts, span, window):
    """Puts the baselines' forecasts into every row: from cohorts with a target at or before the row's `as_of`, the newest with
    weight 1, each older one with 1 - 1/window of the next one's."""
    targets, each = [target for target, _ in cohorts], [counts(rows) for _, rows in cohorts]
    for target, rows in cohorts:
        earlier = each[: bisect.bisect_right(targets, target - span)][-60 * window :]  # e**-60 is nothing to a double
        weights = [(1 - 1 / window) ** age for age in range(len(earlier))]
        known = [math.fsum(w * count[i] for w, count in zip(weights, reversed(earlier), strict=True)) for i in range(4)]
        for row in rows:
            row["baselines"] = baseline_forecasts(row, known)


def in_window(number, window):
    """First of the cohorts (from 0) in the window after cohort `number`: blocks of a tenth, ten of them with the growing one."""
    size, most = max(window // 10, 1), min(max(window, 1), 10)
    return max(number // size - most + 1, 0) * size


def mean(values):
    values = list(values)
    return math.fsum(values) / len(values) if values else None


def wilson(rate, n):
    middle, half = rate + Z * Z / (2 * n), Z * math.sqrt(rate * (1 - rate) / n + Z * Z / (4 * n * n))
    return max((middle - half) / (1 + Z * Z / n), 0.0), min((middle + half) / (1 + Z * Z / n), 1.0)


def n_effective(clusters):
    """Of [hits, as 0 and 1] by cohort: the variance of a ratio over clusters, with exact fractions."""
    clusters = [hits for hits in clusters if hits]
    c, n = len(clusters), sum(len(hits) for hits in clusters)
    if c < 2:
        return float(c)
    p = Fraction(sum(map(sum, clusters)), n)
    variance = Fraction(c, c - 1) * sum((sum(hits) - p * len(hits)) ** 2 for hits in clusters) / n**2
    return float(min(n, p * (1 - p) / variance)) if variance else float(c)


def log_loss(p, up):
    return -math.log(clip(p) if up else 1.0 - clip(p))


def calibration_error(forecasts):
    """Ten bins of equal mass of (probability of up, went up); what shares a thousandth is not torn apart."""
    thousandths = collections.defaultdict(list)
    for p, up in forecasts:
        thousandths[min(int(clip(p) * 1000), 999)].append(clip(p) - up)
    bins, lower = collections.defaultdict(list), 0
    for _, distances in sorted(thousandths.items()):
        bins[10 * lower // len(forecasts)] += distances
        lower += len(distances)
    return math.fsum(abs(math.fsum(distances)) for distances in bins.values()) / len(forecasts) if forecasts else None


def break_even(trades):
    gross = [row["pnl_bps"] + row["fee_bps"] for row in trades]
    gain, loss = mean(g for g in gross if g > 0), mean(-g for g in gross if g < 0)
    if gain is None or loss is None:
        return None
    return (loss + mean(row["fee_bps"] for row in trades)) / (gain + loss)


def likeliest(row):
    """The likeliest class; a tie at the top knows no direction."""
    down, flat, up = (f32(row[name]) for name in ("p_down", "p_flat", "p_up"))
    if up > down and up > flat:
        return "up"
    return "down" if down > up and down > flat else "flat"


def figures(cohorts, span):
    """All figures over [(target, rows)]."""
    rows = [row for _, rows in cohorts for row in rows if row["unscorable"] is None]
    moved = [row for row in rows if did_move(row)]
    decided = [row for row in rows if row["decision"] in ("up", "down")]
    trades = [row for row in decided if row["pnl_bps"] is not None]
    apart = [rows for target, rows in cohorts if target % span == 0]
    effective = n_effective([[int(row["hit"]) for row in rows if did_move(row)] for rows in apart])
    hit_rate = mean(row["hit"] for row in moved)
    low, high = (None, None) if hit_rate is None else wilson(hit_rate, effective) if effective else (0.0, 1.0)
    forecasts = [(probability_up(f32(row["p_down"]), f32(row["p_up"])), row["realised"] == "up") for row in moved]
    baselines = {
        name: {
            "hit_rate": mean(row["baselines"][name][1] == (row["realised"] == "up") for row in moved),
            "log_loss": mean(log_loss(row["baselines"][name][0], row["realised"] == "up") for row in moved),
            "brier": mean((row["baselines"][name][0] - (row["realised"] == "up")) ** 2 for row in moved),
        }
        for name in BASELINES
    }
    return {
        "scored": len(rows),
        "n": len(moved),
        "n_effective": effective,
        "hit_rate": hit_rate,
        "hit_low": low,
        "hit_high": high,
        "log_loss": mean(log_loss(p, up) for p, up in forecasts),
        "brier": mean((p - up) ** 2 for p, up in forecasts),
        "calibration_error": calibration_error(forecasts),
        "coverage": len(decided) / len(rows) if rows else None,
        "decided_n": sum(map(did_move, decided)),
        "decided_hit_rate": mean(row["hit"] for row in decided if did_move(row)),
        "class_accuracy": mean(likeliest(row) == row["realised"] for row in rows),
        "class_log_loss": mean(-math.log(clip(f32(row["p_" + row["realised"]]))) for row in rows),
        "trades": len(trades),
        "pnl_bps": math.fsum(row["pnl_bps"] for row in trades),
        "pnl_mean_bps": mean(row["pnl_bps"] for row in trades),
        "break_even": break_even(trades),
        "baselines": baselines,
    }


def reports(records, settings):
    """{(model, version, interval, horizon, cohorts_total, symbol or None): report}: all that must be written, and no other."""
    made = {}
    for track, cohorts in cohorts_of(records).items():
        model, version, interval, horizon = track
        span = micros(interval) * horizon
        give_baselines(cohorts, span, settings.window)
        states = referee_detector.states(cohorts, span, settings)
        for number, (target, _) in enumerate(cohorts):
            regular = (number + 1) % settings.report_every == 0
            if not regular and not states[number]["changed"]:
                continue
            window = cohorts[in_window(number, settings.window) : number + 1]
            head = {"model": model, "model_version": version, "interval": interval, "horizon": horizon}
            head |= {"as_of": target, "window_start": window[0][0], "cohorts": len(window), "cohorts_total": number + 1, "late": 0}
            unscorable = sum(row["unscorable"] is not None for _, rows in window for row in rows)
            state = {name: states[number][name] for name in ("state", "since", "reason")}
            state["since"] = state["since"] or window[0][0]
            all_of_it = head | {"symbol": None, "unscorable": unscorable} | figures(window, span) | state
            made[*track, number + 1, None] = all_of_it
            if not regular:
                continue
            for symbol in sorted({row["symbol"] for _, rows in window for row in rows if row["unscorable"] is None}):
                own = [(time, [row for row in rows if row["symbol"] == symbol]) for time, rows in window]
                nothing = {"unscorable": 0, "state": None, "since": None, "reason": None}
                made[*track, number + 1, symbol] = head | {"symbol": symbol} | figures(own, span) | nothing
    return made
