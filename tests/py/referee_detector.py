"""The states of the CUSUM detector over the cohorts of one track."""

import math


def threshold(slack, in_control):
    """Siegmund: with h + 1.166 = b the sum runs (exp(2kb) - 2kb - 1) / 2k^2 cohorts in control. Never below 1."""

    def run_length(h):
        y = 2 * slack * (h + 1.166)
        return (math.expm1(y) - y) / (2 * slack * slack)

    low, high = 0.0, 1.0
    while run_length(high) < in_control:
        high *= 2
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if run_length(middle) < in_control else (low, middle)
    return max(high, 1.0)


def reference(cohorts, acceptance):
    """(hit rate, deviation of one cohort) of the first cohorts, each a list of hits."""
    scores = [sum(hits) / len(hits) for hits in cohorts]
    n, rows, right = len(cohorts), sum(map(len, cohorts)), sum(map(sum, cohorts))
    mean = math.fsum(scores) / n
    sample = math.sqrt(math.fsum((score - mean) ** 2 for score in scores) / (n - 1))
    rate = (right + 1) / (rows + 2)
    deviation = max(sample, math.sqrt(rate * (1 - rate) / (rows / n)), 0.01)
    live = mean - 0.5 * deviation / math.sqrt(n)
    return (live if acceptance is None else min(live, acceptance)), deviation


def ladder(state, share):
    """The next state: what takes it up is more than what keeps it there."""
    if share >= 1 or (state == "degraded" and share >= 0.5):
        return "degraded"
    if share >= 0.5 or (state in ("degraded", "warning") and share >= 0.25):
        return "warning"
    return "ok"


def states(cohorts, span, settings):
    """After each cohort: state, since, reason, and whether the state is another one. Only cohorts that do not overlap count, and
    of these only those in which something moved; before the first of them `since` is 0."""
    said, counted, state, since, cusum = [], [], "cold", 0, 0.0
    first = max(settings.baseline_n, 2)
    rate = deviation = most = None
    for target, rows in cohorts:
        hits = [int(row["hit"]) for row in rows if row["hit"] is not None]
        before = state
        if target % span == 0 and hits:
            counted.append(hits)
            if len(counted) == 1:
                since = target
            if len(counted) == first:
                state = "ok"
                rate, deviation = reference(counted, settings.acceptance.get(rows[0]["horizon"]))
                most = threshold(settings.drop / 2 / deviation, settings.in_control)
            elif len(counted) > first:
                cusum += (rate - sum(hits) / len(hits) - settings.drop / 2) / deviation
                cusum = min(max(cusum, 0.0), 2 * most)
                state = ladder(state, cusum / most)
            if state != before:
                since = target
        reason = f"{len(counted)} of the reference's {first} cohorts seen"
        if most is not None:
            reason = (
                f"CUSUM at {cusum:.2f} of {most:.2f} against a reference hit rate of {100 * rate:.2f}% "
                f"(a cohort deviates by {100 * deviation:.2f}%)"
            )
        said.append({"state": state, "since": since, "reason": reason, "changed": state != before})
    return said
