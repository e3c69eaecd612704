"""What was written against what must have been: outcomes and reports as sets, promises in the order of the log."""

import collections
import math
import re

from referee_outcomes import by_partition, f32


def same(here, there, relative):
    """Equal; floats within `relative`."""
    if isinstance(here, bool) or isinstance(there, bool) or not (is_number(here) and is_number(there)):
        return type(here) is type(there) and here == there
    return here == there or math.isclose(here, there, rel_tol=relative, abs_tol=relative * 1e-2)


def same_words(here, there):
    """Equal texts, or with numbers that differ by the rounding of their last digit."""
    number = r"\d+\.\d+"
    if not (here and there):
        return here == there
    pairs = zip(re.findall(number, here), re.findall(number, there), strict=False)
    return re.sub(number, "#", here) == re.sub(number, "#", there) and all(abs(float(a) - float(b)) < 0.0101 for a, b in pairs)


def is_number(value):
    return isinstance(value, int | float)


def differences(name, written, wanted, relative):
    """One line for each field that is not what it must be; `produced_at` may be anything."""
    faults = []
    for field in sorted((set(written) | set(wanted)) - {"produced_at"}):
        if field not in written or field not in wanted:
            faults.append(f"{name}: {field} is {'absent' if field in wanted else 'unknown'}")
        elif isinstance(wanted[field], dict) and isinstance(written[field], dict):
            faults += differences(f"{name}: {field}", written[field], wanted[field], relative)
        elif not (same_words(written[field], wanted[field]) if field == "reason" else same(written[field], wanted[field], relative)):
            faults.append(f"{name}: {field} is {written[field]!r}, must be {wanted[field]!r}")
    return faults


def compare_outcomes(expected, records, relative):
    """Every decided prediction has its outcome, once; nothing else is an outcome."""
    faults, found = [], set()
    for record in records:
        value = record["value"]
        if value["kind"] != "outcome":
            continue
        name = f"outcome {value['prediction_id']} ({value['symbol']} {value['as_of']} +{value['horizon']})"
        if value["prediction_id"] in found:
            faults.append(f"{name}: is there twice")
        elif value["prediction_id"] not in expected.outcomes:
            known = value["prediction_id"] in expected.home
            faults.append(f"{name}: {'its target is not decided' if known else 'nobody predicted that'}")
        else:
            written = value | {field: f32(value[field]) for field in ("p_down", "p_flat", "p_up")}
            faults += differences(name, written, expected.outcomes[value["prediction_id"]], relative)
        found.add(value["prediction_id"])
    for lost in sorted(set(expected.outcomes) - found):
        wanted = expected.outcomes[lost]
        faults.append(f"outcome {lost} ({wanted['symbol']} {wanted['as_of']} +{wanted['horizon']}): is not there")
    return faults


def compare_passages(expected, records):
    """Progress and left records are those that must be, once each."""
    written = collections.Counter(
        tuple(record["value"][field] for field in ("kind", "model", "partition", "time"))
        for record in records
        if record["value"]["kind"] != "outcome"
    )
    faults = [f"{passage}: is there {count} times" for passage, count in sorted(written.items()) if count > 1]
    faults += [f"{passage}: is not there" for passage in sorted(expected.must - set(written))]
    faults += [f"{passage}: must not be there" for passage in sorted(set(written) - expected.must - expected.may)]
    return faults


def compare_promises(expected, records):
    """What a progress or left record says about its partition holds for all that comes after it."""
    faults, homes = [], collections.defaultdict(set)
    for record in records:
        homes[record["value"]["model"]].add(record["partition"])
        if record["key"] != record["value"]["model"]:
            faults.append(f"key {record['key']!r}: is of model {record['value']['model']}")
    faults += [f"model {model}: lies in partitions {sorted(found)}" for model, found in sorted(homes.items()) if len(found) > 1]
    for values in by_partition(records).values():
        passed, left = {}, {}
        for value in values:
            if value["kind"] == "outcome":
                who = (value["model"], expected.home.get(value["prediction_id"]))
                name = f"outcome {value['prediction_id']}"
                if value["target_time"] <= passed.get(who, -math.inf):
                    faults.append(f"{name}: its target {value['target_time']} comes after a promise up to {passed[who]}")
                if value["as_of"] < left.get(who, -math.inf):
                    faults.append(f"{name}: comes after {who} left at {left[who]}")
                continue
            who = (value["model"], value["partition"])
            if value["time"] < max(passed.get(who, -math.inf), left.get(who, -math.inf)):
                faults.append(f"{value['kind']} of {who} goes back to {value['time']}")
            (passed if value["kind"] == "progress" else left)[who] = value["time"]
    return faults


def report_name(value):
    return tuple(value[field] for field in ("model", "model_version", "interval", "horizon", "cohorts_total", "symbol"))


def compare_reports(wanted, records, relative):
    """Every report is there, once, and in the order in which cohorts close; no other is."""
    faults, found, homes, order = [], set(), {}, {}
    for record in sorted(records, key=lambda record: (record["partition"], record["offset"])):
        value, name = record["value"], report_name(record["value"])
        text = f"report {name}"
        if record["key"] != value["model"] or homes.setdefault(value["model"], record["partition"]) != record["partition"]:
            faults.append(f"{text}: is in partition {record['partition']} with key {record['key']!r}")
        place = (value["as_of"], value["model_version"], value["horizon"], value["symbol"] or "")
        if place < order.get((value["model"], value["interval"]), place):
            faults.append(f"{text}: comes after a later one")
        order[value["model"], value["interval"]] = place
        if name in found:
            faults.append(f"{text}: is there twice")
        elif name not in wanted:
            faults.append(f"{text}: must not be there (as_of {value['as_of']}, state {value['state']})")
        else:
            faults += differences(text, value, wanted[name], relative)
        found.add(name)
    return faults + [f"report {name}: is not there" for name in wanted if name not in found]
