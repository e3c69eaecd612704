"""check_referee.py itself: cases small enough to be settled by hand, and that it sees whatever is tampered with."""

import copy
import json
import math
import pathlib
import subprocess
import sys
import types

import pytest
import referee_detector
import referee_reports
from referee_outcomes import Expected

SCRIPT = pathlib.Path(__file__).parent / "check_referee.py"
BAR = 10_000_000
SETTINGS = ["--fee-bps", "10", "--report-every", "5", "--window", "20", "--baseline-n", "4"]


def said(symbol, end, horizon, price, up=0.6, down=0.3, **more):
    """A prediction at bar `end`, in the form of the topic. The bar's vwap is a hundredth above its close."""
    record = {
        "prediction_id": f"{symbol}-{end}-{horizon}",
        "symbol": symbol,
        "interval": "10s",
        "horizon": horizon,
        "as_of": end * BAR,
        "target_time": (end + horizon) * BAR,
        "reference_price": price,
        "reference_vwap": price + 0.01,
        "reference_complete": True,
        "reference_synthetic": False,
        "dead_band_bps": 1.0,
        "p_down": down,
        "p_flat": 0.1,
        "p_up": up,
        "decision": "up" if up > down else "down",
        "abstain_reasons": [],
        "model": "m",
        "model_version": "1",
        "role": "champion",
        "produced_at": 7,
    }
    return record | more


def silent(symbol, end, horizon, price=100.0):
    nothing = {"p_down": None, "p_flat": None, "p_up": None, "decision": "abstain", "abstain_reasons": ["silent"]}
    return said(symbol, end, horizon, price, reference_synthetic=True, **nothing)


def topic(values, partition=0):
    return [{"partition": partition, "offset": offset, "key": value.get("model"), "value": value} for offset, value in enumerate(values)]


def expect(*values):
    return Expected(topic(values), 10.0)


def test_a_long_that_was_right():
    made = expect(said("A", 1, 2, 100.0), said("A", 2, 2, 100.5), said("A", 3, 2, 101.0))
    assert set(made.outcomes) == {"A-1-2"} and len(made.pending) == 2
    outcome = made.outcomes["A-1-2"]
    assert (outcome["realised"], outcome["hit"], outcome["unscorable"], outcome["prior_return_bps"]) == ("up", True, None, None)
    assert math.isclose(outcome["realised_return_bps"], 100.0, rel_tol=1e-12)
    assert outcome["entry_price"] == 100.51 and outcome["target_price"] == 101.0
    # Bought at 100.51, sold at 101: 48.751 basis points, ten of them for the fee.
    assert math.isclose(outcome["pnl_bps"], 38.7513680231, rel_tol=1e-9)
    # 0.6 of 0.6 and 0.3 is two thirds, but for the last digits of a float of 32 bits.
    assert math.isclose(outcome["log_loss"], math.log(1.5), rel_tol=1e-7)
    assert math.isclose(outcome["brier"], 1 / 9, rel_tol=1e-7)


def test_a_short_that_was_wrong_and_the_return_before():
    values = [said("A", end, 1, price, up=0.2, down=0.5) for end, price in enumerate([100.0, 102.0, 103.02])]
    outcome = expect(*values).outcomes["A-1-1"]
    assert (outcome["realised"], outcome["hit"]) == ("up", False)
    assert math.isclose(outcome["prior_return_bps"], 200.0, rel_tol=1e-12)
    assert math.isclose(outcome["pnl_bps"], -((103.02 / 103.03 - 1) * 1e4) - 10.0, rel_tol=1e-12)


def test_within_the_dead_band_nothing_is_right_or_wrong():
    outcome = expect(said("A", 1, 1, 100.0), said("A", 2, 1, 100.01)).outcomes["A-1-1"]
    assert (outcome["realised"], outcome["hit"], outcome["log_loss"], outcome["brier"]) == ("flat", None, None, None)
    assert outcome["pnl_bps"] is not None


@pytest.mark.parametrize(
    ("own", "target", "why"),
    [
        ({}, {"reference_synthetic": True}, "synthetic"),
        ({"reference_synthetic": True}, {"reference_complete": False}, "synthetic"),
        ({"reference_complete": False}, {"reference_synthetic": True}, "incomplete"),
        ({}, {"reference_complete": False}, "incomplete"),
    ],
)
def test_what_has_no_price_settles_nothing(own, target, why):
    outcome = expect(said("A", 1, 1, 100.0, **own), said("A", 2, 1, 101.0, **target)).outcomes["A-1-1"]
    assert (outcome["unscorable"], outcome["realised"], outcome["pnl_bps"], outcome["target_price"]) == (why, None, None, None)


def test_without_an_entry_nothing_is_earned():
    values = [said("A", 1, 2, 100.0), said("A", 2, 2, 100.5, reference_complete=False), said("A", 3, 2, 101.0)]
    outcome = expect(*values).outcomes["A-1-2"]
    assert (outcome["hit"], outcome["entry_price"], outcome["pnl_bps"]) == (True, None, None)


def test_a_silent_symbol_takes_its_predictions_with_it_and_comes_back_as_another():
    values = [said("A", 1, 3, 100.0), said("B", 1, 3, 50.0), silent("A", 2, 3), said("B", 2, 3, 51.0)]
    values += [said("B", 3, 3, 52.0), said("A", 4, 3, 101.0), said("B", 4, 3, 53.0)]
    made = expect(*values)
    assert made.outcomes["A-1-3"]["unscorable"] == "missing"
    assert made.outcomes["B-1-3"]["unscorable"] is None and "A-4-3" not in made.outcomes
    assert made.must == {("progress", "m", 0, end * BAR) for end in (1, 2, 3)}


def test_a_symbol_that_misses_a_bar_is_gone_once_a_later_one_begins():
    values = [said("A", 1, 3, 100.0), said("B", 1, 3, 50.0), said("B", 2, 3, 51.0)]
    assert "A-1-3" not in expect(*values).outcomes
    assert expect(*values, said("B", 3, 3, 52.0)).outcomes["A-1-3"]["unscorable"] == "missing"


def test_a_model_leaves_with_its_last_symbol():
    made = expect(said("A", 1, 1, 100.0), silent("A", 2, 1))
    assert made.must == {("progress", "m", 0, BAR), ("left", "m", 0, 2 * BAR)}


def test_who_did_not_score_has_no_outcome():
    nothing = {"p_down": None, "p_flat": None, "p_up": None, "decision": "abstain", "abstain_reasons": ["warming_up"]}
    made = expect(said("A", 1, 1, 100.0, **nothing), said("A", 2, 1, 101.0))
    assert made.outcomes == {} and made.pending[0]["as_of"] == 2 * BAR


def test_wilson_of_the_textbook():
    low, high = referee_reports.wilson(0.8, 10)
    assert math.isclose(low, 0.4901624715366417, rel_tol=1e-12) and math.isclose(high, 0.9433178485456248, rel_tol=1e-12)


def test_effective_numbers():
    effective = referee_reports.n_effective
    assert effective([]) == 0 and effective([[1, 0, 1]]) == 1 and effective([[1, 1], [], [1, 1, 1]]) == 2
    assert math.isclose(effective([[1] * 10, [0] * 10] * 50), 99.0), "symbols that always agree are worth one"
    assert math.isclose(effective([[1], [0], [0]] * 33), 98.0), "single rows are independent"


def test_calibration_in_bins_of_equal_mass():
    error = referee_reports.calibration_error
    assert error([]) is None and error([(0.5, True), (0.5, False)]) == 0
    rows = [(0.3, True)] + [(0.6, True)] * 8 + [(0.9, False)]
    assert math.isclose(error(rows), (0.7 + 8 * 0.4 + 0.9) / 10)


def test_break_even_and_the_window_of_blocks():
    trades = [{"pnl_bps": gross - 1.0, "fee_bps": 1.0} for gross in (4.0, 2.0, 3.0, -5.0)]
    assert referee_reports.break_even(trades) == 0.75 and referee_reports.break_even(trades[:3]) is None
    # Twenty cohorts: ten blocks of two. The 21st begins the eleventh, and the first goes.
    assert [referee_reports.in_window(number, 20) for number in (0, 19, 20, 21, 22)] == [0, 0, 2, 2, 4]
    assert [referee_reports.in_window(number, 3) for number in (2, 3)] == [0, 1]


def test_baselines_know_what_was_there_before():
    def cohort(end, realised, prior):
        row = {"realised": realised, "prior_return_bps": prior}
        return end * BAR, [row]

    cohorts = [cohort(3, "up", 5.0), cohort(4, "up", -5.0), cohort(5, "down", -5.0)]
    referee_reports.give_baselines(cohorts, 2 * BAR, 10)
    first, second, third = (rows[0]["baselines"] for _, rows in cohorts)
    assert first["majority"] == (0.5, True) and second["majority"] == (0.5, True), "the cohort of 3 is not known at 2"
    # At 3 one cohort is known: one row, up, in the direction of the return before.
    assert third["majority"] == (2 / 3, True)
    assert third["persistence"] == (1 - 2 / 3, False) and third["reversal"] == (1 - 2 / 3, True)


def test_the_detector_of_the_textbook():
    # Montgomery, chapter 9: h = 5 and k = 1/2 give 938.2 in control.
    assert math.isclose(referee_detector.threshold(0.5, 938.2), 5.0, rel_tol=1e-4)
    steps = [("ok", 0.49), ("ok", 0.5), ("warning", 0.25), ("warning", 0.24), ("warning", 1.0), ("degraded", 0.5), ("degraded", 0.49)]
    took = ["ok", "warning", "warning", "ok", "degraded", "degraded", "warning"]
    assert [referee_detector.ladder(state, share) for state, share in steps] == took


def test_states_from_cold_to_degraded():
    hits = [1, 0, 1, 0] + [0] * 30
    cohorts = [(end * BAR, [{"hit": bool(hit), "horizon": 1}]) for end, hit in enumerate(hits, 1)]
    args = types.SimpleNamespace(baseline_n=4, drop=0.05, in_control=100.0, acceptance={})
    states = referee_detector.states(cohorts, BAR, args)
    assert [s["state"] for s in states[:4]] == ["cold", "cold", "cold", "ok"] and states[0]["since"] == BAR
    assert states[2]["reason"] == "3 of the reference's 4 cohorts seen"
    # Scores 1 0 1 0: mean a half, deviation the root of a third, reference a quarter of a deviation below the mean.
    deviation = math.sqrt(1 / 3)
    step = (0.5 - 0.25 * deviation - 0.025) / deviation
    most = referee_detector.threshold(0.025 / deviation, 100.0)
    alarm = next(n for n, state in enumerate(states) if state["state"] == "degraded")
    assert alarm == 3 + math.ceil(most / step) and states[alarm]["changed"]


def test_what_is_not_passed_by_all_is_open():
    def progress(partition, end, kind="progress"):
        return {"kind": kind, "model": "m", "partition": partition, "time": end}

    until = referee_reports.closed_until
    assert until(topic([progress(0, 5), progress(1, 3)])) == {"m": 3}
    assert until(topic([progress(0, 5), progress(1, 3), progress(1, 3, "left")])) == {"m": 5}
    assert until(topic([progress(0, 5), progress(0, 6, "left")])) == {"m": math.inf}


def market():
    """Two partitions: A and B in one, C in the other; C falls silent, B's bars are not all real. What is written about it."""
    values, price = {0: [], 1: []}, {"A": 100.0, "B": 50.0, "C": 10.0}
    for end in range(1, 61):
        for number, symbol in enumerate("ABC"):
            price[symbol] *= 1 + 0.0007 * math.sin(end * end * (number + 1))
            partition, up = int(symbol == "C"), 0.45 + 0.2 * math.sin(end * (number + 3))
            bar = {"reference_synthetic": symbol == "B" and end % 17 == 0, "reference_complete": end % 23 > 0}
            for horizon in (1, 3):
                if symbol == "C" and end > 30:
                    values[partition] += [silent(symbol, end, horizon, price[symbol])] if end == 31 else []
                else:
                    values[partition].append(said(symbol, end, horizon, price[symbol], up=up, down=0.9 - up, **bar))
    predictions = topic(values[0]) + topic(values[1], 1)
    expected = Expected(predictions, 10.0)
    # By what it is about; what is promised comes last.
    order = [(o["target_time"], 0, o | {"produced_at": 8}) for o in expected.outcomes.values()]
    fields = ("kind", "model", "partition", "time")
    order += [(passage[3], 1, dict(zip(fields, passage, strict=True)) | {"produced_at": 8}) for passage in expected.must]
    # What a silent symbol leaves behind is settled when it falls silent.
    order = [(31 * BAR if value.get("unscorable") == "missing" else time, kind, value) for time, kind, value in order]
    outcomes = topic([value for *_, value in sorted(order, key=lambda line: (line[:2], json.dumps(line[2])))])
    args = types.SimpleNamespace(report_every=5, window=20, baseline_n=4, drop=0.05, in_control=10000.0, acceptance={})
    made = referee_reports.reports(copy.deepcopy(outcomes), args).values()
    sort = sorted(made, key=lambda r: (r["as_of"], r["horizon"], r["symbol"] or ""))
    accuracy = topic([report | {"produced_at": 9} for report in sort])
    return {"predictions": predictions, "outcomes": outcomes, "accuracy": accuracy}


def run(folder, dump):
    args = []
    for name, records in dump.items():
        path = folder / f"{name}.jsonl"
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
        args += [f"--{name}", path]
    return subprocess.run([sys.executable, SCRIPT, *args, *SETTINGS], capture_output=True, text=True)


def test_a_true_dump_passes(tmp_path):
    done = run(tmp_path, market())
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["faults"] == 0 and summary["left"] == 1 and summary["pending"] == 8
    assert min(summary[name] for name in ("settled", "synthetic", "incomplete", "missing", "reports", "symbol_reports", "rolled")) > 0
    assert summary["states"].keys() >= {"cold", "ok"}


def of_kind(dump, kind):
    return [record["value"] for record in dump["outcomes"] if record["value"]["kind"] == kind]


def settled(dump):
    return next(value for value in of_kind(dump, "outcome") if value["hit"] is not None)


def report(dump, symbol=None):
    return next(r["value"] for r in dump["accuracy"] if r["value"]["symbol"] == symbol and r["value"]["cohorts_total"] == 40)


def scale(value, field, by):
    value[field] *= by


def again(records, place):
    last = max(record["offset"] for record in records)
    records.append(records[place] | {"offset": last + 1})


def swap(records, kind, other):
    one = next(n for n, r in enumerate(records) if r["value"].get("kind") == kind)
    two = next(n for n, r in enumerate(records) if n > one and r["value"].get("kind") == other)
    records[one]["value"], records[two]["value"] = records[two]["value"], records[one]["value"]


TAMPERED = {
    "a return": lambda dump: scale(settled(dump), "realised_return_bps", 1 + 1e-9),
    "a probability": lambda dump: settled(dump).update(p_up=0.4),
    "a hit": lambda dump: settled(dump).update(hit=not settled(dump)["hit"]),
    "a fee": lambda dump: settled(dump).update(fee_bps=11.0),
    "a class that is none": lambda dump: settled(dump).update(hit=1),
    "a field that is gone": lambda dump: settled(dump).pop("prior_return_bps"),
    "a reason": lambda dump: next(v for v in of_kind(dump, "outcome") if v["unscorable"]).update(unscorable="gone"),
    "an outcome that is lost": lambda dump: dump["outcomes"].pop(0),
    "an outcome that comes twice": lambda dump: again(dump["outcomes"], 0),
    "an outcome of nobody": lambda dump: settled(dump).update(prediction_id="X"),
    "a price before": lambda dump: scale(dump["predictions"][0]["value"], "reference_price", 1.001),
    "a prediction that is lost": lambda dump: dump["predictions"].pop(3),
    "a progress that is lost": lambda dump: dump["outcomes"].remove(next(r for r in dump["outcomes"] if "time" in r["value"])),
    "a progress that comes too early": lambda dump: swap(dump["outcomes"], "outcome", "progress"),
    "a progress that promises too much": lambda dump: scale(of_kind(dump, "progress")[-1], "time", 2),
    "a partition that has not left": lambda dump: of_kind(dump, "left")[0].update(partition=0),
    "a model in two partitions": lambda dump: dump["outcomes"][-1].update(partition=1),
    "a key": lambda dump: dump["outcomes"][0].update(key="A"),
    "a figure": lambda dump: scale(report(dump), "log_loss", 1 + 1e-8),
    "a symbol's figure": lambda dump: scale(report(dump, "A"), "n_effective", 1.001),
    "a baseline": lambda dump: scale(report(dump)["baselines"]["reversal"], "brier", 1 + 1e-8),
    "a count": lambda dump: report(dump).update(n=report(dump)["n"] + 1),
    "a row that came late": lambda dump: report(dump).update(late=1),
    "a window that is longer": lambda dump: report(dump).update(window_start=report(dump)["window_start"] - BAR),
    "a state": lambda dump: report(dump).update(state="degraded"),
    "the reason of a state": lambda dump: report(dump).update(reason="CUSUM"),
    "a report that is lost": lambda dump: dump["accuracy"].pop(),
    "a report that comes twice": lambda dump: again(dump["accuracy"], -1),
    "a report that need not be": lambda dump: report(dump).update(cohorts_total=41),
    "a report that comes before an earlier one": lambda dump: dump["accuracy"][0].update(offset=10**6),
}


@pytest.fixture(scope="module")
def true():
    return market()


@pytest.mark.parametrize("what", TAMPERED)
def test_a_tampered_dump_fails(tmp_path, true, what):
    dump = copy.deepcopy(true)
    TAMPERED[what](dump)
    done = run(tmp_path, dump)
    assert done.returncode == 1 and "differences, the first of them:" in done.stderr, done.stdout + done.stderr
