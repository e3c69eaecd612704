"""A second opinion on the referee: outcomes anew from the `predictions` topic, accuracy reports anew from the `outcomes` topic.

check_referee.py --predictions predictions.jsonl --outcomes outcomes.jsonl [--accuracy accuracy.jsonl] [settings]
The files are what `tickcast tail TOPIC --from-beginning --until-end --json` prints, taken when all was settled and judged.
Prints what was compared as JSON. Exit code 1, and the first differences, when anything is missing, surplus, there twice or
different. The settings are those of the run that wrote the topics; detector: cusum. With --model the hit rates with which that
model was accepted bound the detector's reference, as they do for the champion. Called by tests/it/referee.rs.
"""

import argparse
import collections
import json
import sys

from referee_compare import compare_outcomes, compare_passages, compare_promises, compare_reports
from referee_outcomes import Expected
from referee_reports import reports

SHOWN = 20


def read(path):
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def rate_at(text):
    horizon, rate = text.split("=")
    return int(horizon), float(rate)


def accepted(model):
    """Hit rate by horizon with which an ONNX file says that it was accepted."""
    import onnxruntime  # Needed here alone: all else is the standard library's.

    meta = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"]).get_modelmeta().custom_metadata_map
    horizons = json.loads(meta["tickcast.acceptance"])["horizons"]
    return {int(horizon): said["hit"] for horizon, said in horizons.items()}


def settings(words):
    parser = argparse.ArgumentParser()
    for name in ("predictions", "outcomes"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--accuracy", help="reports; without it outcomes alone are compared")
    parser.add_argument("--fee-bps", type=float, default=10.0)
    parser.add_argument("--report-every", type=int, default=10)
    parser.add_argument("--window", type=int, default=500)
    parser.add_argument("--baseline-n", type=int, default=100)
    parser.add_argument("--drop", type=float, default=0.05)
    parser.add_argument("--in-control", type=float, default=10000.0)
    parser.add_argument("--acceptance", type=rate_at, action="append", default=[], metavar="HORIZON=RATE")
    parser.add_argument("--model", help="an ONNX file with what it was accepted with")
    args = parser.parse_args(words)
    args.acceptance = (accepted(args.model) if args.model else {}) | dict(args.acceptance)
    return args


def check(predictions, outcomes, accuracy, args):
    """(what was compared, what is wrong); `accuracy` may be None."""
    expected = Expected(predictions, args.fee_bps)
    faults = compare_outcomes(expected, outcomes, 1e-12)
    faults += compare_passages(expected, outcomes)
    faults += compare_promises(expected, outcomes)
    results = collections.Counter(o["unscorable"] or "settled" for o in expected.outcomes.values())
    kinds = collections.Counter(record["value"]["kind"] for record in outcomes)
    summary = {
        "predictions": len(predictions),
        "outcomes": len(expected.outcomes),
        **{name: results[name] for name in ("settled", "synthetic", "incomplete", "missing")},
        "traded": sum(o["pnl_bps"] is not None for o in expected.outcomes.values()),
        "pending": len(expected.pending),
        "progress": kinds["progress"],
        "left": kinds["left"],
    }
    # Outcomes that lack a field are no ground to judge on; those that are merely wrong are.
    if accuracy is not None and not any(fault.endswith(" is absent") for fault in faults):
        wanted = reports(outcomes, args)
        faults += compare_reports(wanted, accuracy, 1e-9)
        together = [report for report in wanted.values() if report["symbol"] is None]
        summary |= {
            "reports": len(together),
            "symbol_reports": len(wanted) - len(together),
            "states": dict(collections.Counter(report["state"] for report in together)),
            "rolled": sum(report["cohorts"] < report["cohorts_total"] for report in together),
        }
    return summary, faults


def main():
    args = settings(sys.argv[1:])
    accuracy = None if args.accuracy is None else read(args.accuracy)
    summary, faults = check(read(args.predictions), read(args.outcomes), accuracy, args)
    print(json.dumps(summary | {"faults": len(faults)}))
    if faults:
        sys.exit("\n".join([f"{len(faults)} differences, the first of them:", *faults[:SHOWN]]))


if __name__ == "__main__":
    main()
