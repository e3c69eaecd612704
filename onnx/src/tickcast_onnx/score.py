"""How right the probabilities are, beside baselines on the same rows. The words are those of tickcast's accuracy records.

Direction is the sign of `p_up - p_down`; hit rate and log-loss (binary, of `p_up / (p_up + p_down)`) are over the rows that
moved beyond the dead band.
"""

import math

import numpy as np

CLIP = 1e-6


def binary(up: np.ndarray, moved_up: np.ndarray) -> dict:
    """Hit rate, log-loss and Brier score of probabilities of `up`, given what happened."""
    p = np.clip(up, CLIP, 1.0 - CLIP)
    return {
        "hit": float(np.mean((up > 0.5) == moved_up)),
        "log_loss": float(-np.mean(np.where(moved_up, np.log(p), np.log1p(-p)))),
        "brier": float(np.mean((p - moved_up) ** 2)),
    }


def interval(hits: np.ndarray, bar: np.ndarray, horizon: int) -> tuple[int, float]:
    """Cohorts and the half-width of a 95% interval of the hit rate.

    Rows of one bar are one cohort (their mean is one score), and only cohorts whose futures do not overlap (bar modulo horizon
    fixed) count as independent: the number is the smallest over the phases, the width comes from their mean deviation.
    """
    number, total = np.unique(bar, return_inverse=True)
    mean = np.bincount(total, hits) / np.bincount(total)
    phases = [mean[number % horizon == phase] for phase in range(horizon)]
    phases = [p for p in phases if len(p) > 1]
    if not phases:
        return 0, math.nan
    cohorts = min(len(p) for p in phases)
    return cohorts, float(1.96 * np.mean([p.std(ddof=1) for p in phases]) / math.sqrt(cohorts))


def past_move(close: np.ndarray, rows: np.ndarray, horizon: int) -> np.ndarray:
    """Sign of the move over the last `horizon` bars. The rows must have that history (they end a longer sequence)."""
    return np.sign(close[rows] - close[rows - horizon])


def learn_rules(table, column: int, dead_band_bps: float, train) -> dict:
    """The one frequency of each baseline, from training rows: how often it rose (`majority`), moved on as it had
    (`persistence`), turned (`reversal`)."""
    horizon, realised = table.horizons[column], table.returns[train, column]
    moved = np.isfinite(realised) & (np.abs(realised) > dead_band_bps)
    rows, realised = train[moved], realised[moved]
    before = past_move(table.close, rows, horizon)
    clear = before != 0
    went_on = float(np.mean(np.sign(realised[clear]) == before[clear])) if clear.any() else 0.5
    return {"majority": float(np.mean(realised > 0)), "persistence": went_on, "reversal": 1.0 - went_on}


def ask_rules(rules: dict, table, horizon: int, rows) -> dict:
    """Each baseline's probability of `up`. Persistence and reversal never turn round, even where their frequency is below a
    half; without a past move they fall back on the majority's."""
    now = past_move(table.close, rows, horizon)
    answer = {"majority": np.full(len(rows), rules["majority"])}
    for name, sign in (("persistence", 1.0), ("reversal", -1.0)):
        sure = max(rules[name], 0.5 + CLIP)
        answer[name] = np.where(now == 0, rules["majority"], np.where(now * sign > 0, sure, 1.0 - sure))
    return answer


def report(table, rows, probabilities, dead_band_bps: float, rules: list[dict], optimum=None) -> dict:
    """Metrics per horizon of `probabilities` [rows, horizon, 3] and of the baselines (`rules[i]` are those of horizon i).
    `optimum`, where it is known, is the sign of the best possible direction per row of the table."""
    answer = {}
    for column, horizon in enumerate(table.horizons):
        realised = table.returns[rows, column]
        moved = np.isfinite(realised) & (np.abs(realised) > dead_band_bps)
        kept, up = rows[moved], realised[moved] > 0
        p = probabilities[moved, column].astype(np.float64)
        share = p[:, 2] / np.maximum(p[:, 0] + p[:, 2], CLIP)
        figures = binary(share, up)
        cohorts, width = interval((share > 0.5) == up, table.close_time[kept] // table.interval, horizon)
        figures |= {"n": int(len(kept)), "cohorts": cohorts, "hit_margin": width}
        asked = ask_rules(rules[column], table, horizon, kept)
        figures["baselines"] = {name: {k: binary(q, up)[k] for k in ("hit", "log_loss")} for name, q in asked.items()}
        if optimum is not None:
            figures["optimum_hit"] = float(np.mean((optimum[kept] > 0) == up))
        answer[str(horizon)] = rounded(figures)
    return answer


def rounded(value):
    """Five digits after the point are more than the sample allows."""
    if isinstance(value, dict):
        return {k: rounded(v) for k, v in value.items()}
    return round(value, 5) if isinstance(value, float) else value
