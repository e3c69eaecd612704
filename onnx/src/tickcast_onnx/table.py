"""The data set: what `tickcast dataset` wrote, as arrays, and which rows end a whole sequence.

Does not split, scale or label by class; it only refuses tables that are not what they should be.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow.parquet as parquet

FIXED = ("symbol", "close_time", "close")


@dataclass(frozen=True)
class Table:
    """Rows sorted by symbol, then time. `returns[:, i]` is the simple return in basis points over `horizons[i]` bars, NaN
    where the future is not known."""

    names: tuple[str, ...]
    horizons: tuple[int, ...]
    symbol: np.ndarray
    """Number of the symbol, i64."""
    close_time: np.ndarray
    """End of the bar, i64 microseconds since the epoch."""
    close: np.ndarray
    features: np.ndarray
    """f32 [rows, features], raw; NaN where a window was not full."""
    returns: np.ndarray
    interval: int
    """Microseconds from one bar to the next."""

    def __len__(self):
        return len(self.close)


def read(path, horizons) -> Table:
    """Reads a Parquet file of `tickcast dataset`. Raises ValueError that names the column at fault."""
    arrow = parquet.read_table(path)
    labels = [f"return_bps_{h}" for h in horizons]
    missing = [name for name in (*FIXED, *labels) if name not in arrow.column_names]
    if missing:
        raise ValueError(
            f"{path} has no column {', '.join(missing)}: write it with `tickcast dataset --horizons {','.join(map(str, horizons))}`"
        )
    names = tuple(n for n in arrow.column_names if n not in FIXED and not n.startswith("return_bps_"))
    column = {n: arrow.column(n) for n in arrow.column_names}
    _, symbol = np.unique(np.asarray(column["symbol"].to_pylist()), return_inverse=True)
    numbers = {n: column[n].to_numpy().astype(np.float64) for n in ("close", *labels)}
    return build(
        names,
        horizons,
        symbol,
        column["close_time"].to_numpy(),
        numbers["close"],
        np.column_stack([column[n].to_numpy() for n in names]),
        np.column_stack([numbers[n] for n in labels]),
    )


def build(names, horizons, symbol, close_time, close, features, returns) -> Table:
    """Makes a table of arrays, sorted; the interval is the commonest step. Raises ValueError where times repeat."""
    order = np.lexsort((close_time, symbol))
    symbol, close_time = np.asarray(symbol, np.int64)[order], np.asarray(close_time, np.int64)[order]
    step = np.diff(close_time)[np.diff(symbol) == 0]
    if len(step) == 0 or step.min() <= 0:
        raise ValueError("the table needs at least two bars of a symbol, and no bar twice")
    values, counts = np.unique(step, return_counts=True)
    return Table(
        tuple(names),
        tuple(horizons),
        symbol,
        close_time,
        np.asarray(close, np.float64)[order],
        np.ascontiguousarray(features, np.float32)[order],
        np.asarray(returns, np.float64)[order],
        int(values[counts.argmax()]),
    )


def ends(table: Table, sequence: int) -> np.ndarray:
    """Rows that end `sequence` finite rows of one symbol, one interval apart: those a model can be asked about."""
    whole = np.isfinite(table.features).all(axis=1)
    follows = np.zeros(len(table), bool)
    follows[1:] = (np.diff(table.symbol) == 0) & (np.diff(table.close_time) == table.interval)
    run = np.zeros(len(table), np.int64)
    length = 0
    for row in range(len(table)):
        length = (length + 1 if follows[row] else 1) if whole[row] else 0
        run[row] = length
    return np.flatnonzero(run >= sequence)


def classes(returns: np.ndarray, dead_band_bps: float) -> np.ndarray:
    """0 down, 1 flat, 2 up, and -1 where the return is not known. A return equal to the band's edge is flat."""
    known = np.isfinite(returns)
    value = np.where(known, returns, 0.0)
    label = 1 + (value > dead_band_bps).astype(np.int64) - (value < -dead_band_bps).astype(np.int64)
    return np.where(known, label, -1)
