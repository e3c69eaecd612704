"""A second opinion on predictions: features from the `bars` topic with TA-Lib, scores with Python's ONNX Runtime.

check_predictions.py --bars bars.jsonl --predictions predictions.jsonl --model reference.onnx
The two files are what `tickcast tail TOPIC --from-beginning --until-end --json` prints. Exit code 1 when a prediction that
does not abstain differs by more than the tolerance, or has no window. Called by tests/it/replay_of_six.rs.
"""

import argparse
import collections
import json
import sys

import numpy as np
import onnxruntime
import talib_features

COLUMNS = ("open", "high", "low", "close", "volume", "buy_volume", "sell_volume")


def values(path):
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line)["value"] for line in lines]


class Symbol:
    """One symbol's bars; a feature row is computed once, however many windows hold it."""

    def __init__(self, bars):
        self.bars, self.rows = bars, {}
        self.place = {bar["close_time"]: i for i, bar in enumerate(bars)}
        self.columns = {name: np.array([bar[name] for bar in bars], dtype=np.float64) for name in COLUMNS}

    def row(self, i):
        if i not in self.rows:
            window = slice(i + 1 - talib_features.WINDOW, i + 1)
            self.rows[i] = talib_features.features({name: column[window] for name, column in self.columns.items()})
        return self.rows[i]

    def input(self, as_of, sequence):
        last = self.place[as_of]
        first = last + 1 - sequence - talib_features.WINDOW + 1
        held = self.bars[max(first, 0) : last + 1]
        if first < 0 or any(a["close_time"] != b["open_time"] for a, b in zip(held, held[1:], strict=False)):
            raise ValueError("its window has a hole")
        if not all(bar["complete"] for bar in held):
            raise ValueError("its window holds an incomplete bar")
        return np.stack([self.row(i) for i in range(last + 1 - sequence, last + 1)]).astype(np.float32)


def main():
    parser = argparse.ArgumentParser()
    for name in ("bars", "predictions", "model"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--tolerance", type=float, default=1e-4)
    args = parser.parse_args()

    session = onnxruntime.InferenceSession(args.model, providers=["CPUExecutionProvider"])
    meta = session.get_modelmeta().custom_metadata_map
    sequence, horizons = int(meta["tickcast.sequence"]), json.loads(meta["tickcast.horizons"])
    bars = collections.defaultdict(list)
    for bar in values(args.bars):
        bars[bar["symbol"]].append(bar)
    symbols = {name: Symbol(sorted(held, key=lambda bar: bar["close_time"])) for name, held in bars.items()}

    asked, inputs, faults = [], [], []
    for said in values(args.predictions):
        if said["decision"] == "abstain":
            continue
        try:
            inputs.append(symbols[said["symbol"]].input(said["as_of"], sequence))
            asked.append(said)
        except (KeyError, ValueError) as why:
            faults.append(f"{said['symbol']} {said['as_of']}: {why}")
    if not asked:
        sys.exit("no prediction that does not abstain")

    worst = 0.0
    for begin in range(0, len(asked), 256):
        scores = session.run(["probabilities"], {"features": np.stack(inputs[begin : begin + 256])})[0]
        for said, score in zip(asked[begin : begin + 256], scores, strict=True):
            here = np.array([said["p_down"], said["p_flat"], said["p_up"]], dtype=np.float64)
            apart = float(np.max(np.abs(here - score[horizons.index(said["horizon"])])))
            worst = max(worst, apart)
            if not apart <= args.tolerance:
                faults.append(f"{said['symbol']} {said['as_of']} horizon {said['horizon']}: {here} is {apart:.1e} off")
    print(f"{len(asked)} predictions of {len(symbols)} symbols, worst difference {worst:.1e}")
    if faults:
        sys.exit("\n".join([f"{len(faults)} faults, the first of them:", *faults[:10]]))


if __name__ == "__main__":
    main()
