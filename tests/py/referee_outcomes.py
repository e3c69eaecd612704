"""Outcomes, progress and left records as they follow from the `predictions` topic alone, by looking everything up.

Nothing here waits or is taken along from record to record: a prediction's target is looked up in its symbol's life.
"""

import collections
import math
import struct

CLIP = 1e-6
COPIED = "prediction_id symbol interval horizon as_of target_time model model_version role decision reference_price dead_band_bps"


def f32(number):
    """A float of 32 bits stands in JSON as the shortest decimal that means it; this is the number that it means."""
    return struct.unpack("f", struct.pack("f", number))[0]


class Life:
    """A symbol from its first record to its last one before it is silent or gone. `ended` is when that was, None if it lives."""

    def __init__(self):
        self.said, self.bars, self.ended = [], {}, None


def by_partition(records):
    """Values by partition in order of offset."""
    partitions = collections.defaultdict(list)
    for record in sorted(records, key=lambda record: (record["partition"], record["offset"])):
        partitions[record["partition"]].append(record["value"])
    return dict(partitions)


def bar_ends(values):
    """[(bar end, {symbol: its records})] of one partition."""
    ends = []
    for value in values:
        if not ends or value["as_of"] > ends[-1][0]:
            ends.append((value["as_of"], collections.defaultdict(list)))
        if value["as_of"] != ends[-1][0]:
            raise ValueError(f"{value['prediction_id']} of {value['symbol']} is about a bar before that of its neighbour")
        ends[-1][1][value["symbol"]].append(value)
    return ends


def lives_of(ends):
    """The lives of every symbol of one partition. Whoever misses a bar end is gone, which is known once a later one has begun."""
    lives = []
    for symbol in sorted({symbol for _, symbols in ends for symbol in symbols}):
        life = None
        for number, (as_of, symbols) in enumerate(ends):
            if symbol in symbols:
                records = symbols[symbol]
                silent = any("silent" in record["abstain_reasons"] for record in records)
                if life is None and silent:
                    continue
                if life is None:
                    life = Life()
                    lives.append(life)
                life.said += records
                life.bars[as_of] = records[0]
                if silent:
                    life.ended, life = as_of, None
            elif life is not None and number + 1 < len(ends):
                life.ended, life = as_of, None
    return lives


def unreal(bar):
    """Why a bar has no price that measures anything; None where it has."""
    if bar["reference_synthetic"]:
        return "synthetic"
    return None if bar["reference_complete"] else "incomplete"


def return_bps(before, after):
    return (after / before - 1.0) * 1e4


def probability_up(down, up):
    both = down + up
    return min(max(up / both if both > 0.0 else 0.5, CLIP), 1.0 - CLIP)


def scored(said):
    return None not in (said["p_down"], said["p_flat"], said["p_up"])


def is_pending(said, life):
    """Whether its target may still come."""
    return said["target_time"] > max(life.bars) and life.ended is None


def outcome(said, life, fee_bps):
    """The outcome of a scored prediction whose target is decided."""
    made = {name: said[name] for name in COPIED.split()}
    made |= {name: f32(said[name]) for name in ("p_down", "p_flat", "p_up")}
    for name in ("entry_price", "target_price", "realised_return_bps", "realised", "hit", "log_loss", "brier", "pnl_bps"):
        made[name] = None
    made |= {"kind": "outcome", "fee_bps": fee_bps, "prior_return_bps": None, "unscorable": None}

    span = said["target_time"] - said["as_of"]
    own, before = life.bars[said["as_of"]], life.bars.get(said["as_of"] - span)
    after, target = life.bars.get(said["as_of"] + span // said["horizon"]), life.bars.get(said["target_time"])
    if before is not None and not unreal(before) and not unreal(own):
        made["prior_return_bps"] = return_bps(before["reference_price"], own["reference_price"])
    made["unscorable"] = "missing" if target is None else unreal(own) or unreal(target)
    if made["unscorable"]:
        return made

    came = return_bps(own["reference_price"], target["reference_price"])
    band = said["dead_band_bps"]
    realised = "up" if came > band else "down" if came < -band else "flat"
    made |= {"target_price": target["reference_price"], "realised_return_bps": came, "realised": realised}
    down, up = made["p_down"], made["p_up"]
    if realised != "flat":
        right, wrong = (up, down) if realised == "up" else (down, up)
        q = probability_up(down, up)
        made["hit"] = right > wrong
        made["log_loss"] = -math.log(q if realised == "up" else 1.0 - q)
        made["brier"] = (q - (1.0 if realised == "up" else 0.0)) ** 2
    if after is not None and not unreal(after):
        made["entry_price"] = after["reference_vwap"]
        gross = return_bps(after["reference_vwap"], target["reference_price"])
        if said["decision"] in ("up", "down"):
            made["pnl_bps"] = (gross if said["decision"] == "up" else -gross) - fee_bps
    return made


def participation(ends, lives):
    """By bar end, the models that are there when it is over: of a live symbol, or with a prediction that waits."""
    times = [as_of for as_of, _ in ends]
    place = {as_of: number for number, as_of in enumerate(times)}
    there = {as_of: set() for as_of in times}
    for life in lives:
        until = math.inf if life.ended is None else life.ended
        for as_of, bar in life.bars.items():
            if as_of < until:
                there[as_of].add(bar["model"])
        if life.ended is None:
            there[times[-1]].add(life.bars[max(life.bars)]["model"])
        for said in filter(scored, life.said):
            for as_of in times[place[said["as_of"]] : place[said["as_of"]] + said["horizon"]]:
                if as_of >= min(said["target_time"], until):
                    break
                there[as_of].add(said["model"])
    return there


def passages(partition, ends, lives):
    """(must, may): progress and left records as (kind, model, partition, time), and those that only the order within a bar end
    decides on: a model's last symbol is silent, and another one comes."""
    must, may = set(), set()
    there, before = participation(ends, lives), set()
    for number, (as_of, _) in enumerate(ends):
        if number + 1 < len(ends):
            must |= {("progress", model, partition, as_of) for model in there[as_of]}
        must |= {("left", model, partition, as_of) for model in before - there[as_of]}
        new = {life.bars[as_of]["model"] for life in lives if min(life.bars) == as_of}
        may |= {("left", model, partition, as_of) for model in before & there[as_of] & new}
        before = there[as_of]
    return must, may


class Expected:
    """All that `settle` must have written about these predictions."""

    def __init__(self, predictions, fee_bps):
        self.outcomes, self.home, self.pending, self.must, self.may = {}, {}, [], set(), set()
        for partition, values in by_partition(predictions).items():
            ends = bar_ends(values)
            lives = lives_of(ends)
            for life in lives:
                for said in filter(scored, life.said):
                    if said["prediction_id"] in self.home:
                        raise ValueError(f"prediction {said['prediction_id']} is there twice")
                    self.home[said["prediction_id"]] = partition
                    if is_pending(said, life):
                        self.pending.append(said)
                    else:
                        self.outcomes[said["prediction_id"]] = outcome(said, life, fee_bps)
            must, may = passages(partition, ends, lives)
            self.must |= must
            self.may |= may
