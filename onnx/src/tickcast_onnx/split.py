"""Who may see what: a chronological split with purge and embargo. No random rows: neighbours share their bars."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Split:
    """Rows (indices into the table) of each part, in order of the table."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def chronological(rows, close_time, interval, horizons, embargo, train_share, validation_share) -> Split:
    """Cuts `rows` by time, all symbols at the same two moments.

    Purge: a row whose longest label ends at or after the next part's start is dropped. Embargo: a later part begins `embargo`
    bars after its cut, so that with the default (all an input looks back on) no bar of its inputs was seen before.
    Raises ValueError where a part would be empty.
    """
    when = close_time[rows]
    first, last = when.min(), when.max()
    reach, wait = max(horizons) * interval, embargo * interval
    cut_validation = first + int((last - first) * train_share)
    cut_test = first + int((last - first) * (train_share + validation_share))
    train = rows[when + reach < cut_validation]
    validation = rows[(when >= cut_validation + wait) & (when + reach < cut_test)]
    test = rows[when >= cut_test + wait]
    for name, part in (("training", train), ("validation", validation), ("test", test)):
        if len(part) == 0:
            raise ValueError(
                f"no rows are left for {name} after a purge of {max(horizons)} and an embargo of {embargo} bars: give more bars"
            )
    return Split(train, validation, test)
