"""Tables that tests train on: the generated market with a handful of numpy-made features, in seconds."""

import numpy as np

from tickcast_onnx import market, table

NAMES = ("ret_1", "ema_gap", "ema_gap_slow", "noise")
INTERVAL = 10_000_000
START = 1_700_000_000_000_000


def returns(bars, seed, regime=1.0, k=0.2):
    """The rule, written down once more: r per bar."""
    noise = np.random.default_rng(seed).standard_normal(bars)
    average, r = 0.0, np.empty(bars)
    for bar in range(bars):
        r[bar] = noise[bar] + regime * k * 2.0 * np.tanh(average * np.sqrt(20.0) / 2.0)
        average += 2.0 / 21.0 * (r[bar] - average)
    return r


def ema(values, span):
    """Exponential average that starts at 0."""
    average, answer = 0.0, np.empty(len(values))
    for i, value in enumerate(values):
        average += 2.0 / (span + 1) * (value - average)
        answer[i] = average
    return answer


def small_table(bars=2000, symbols=4, seed=0, horizons=(1, 5, 15), k=0.2):
    """A table as `tickcast dataset` would write it, with other features."""
    parts = []
    for symbol in range(symbols):
        rng = np.random.default_rng([seed, symbol])
        r = returns(bars, [seed, symbol, 1], k=k)
        close = 100.0 * np.exp(market.UNIT * np.cumsum(r))
        future = np.full((bars, len(horizons)), np.nan)
        for column, h in enumerate(horizons):
            future[:-h, column] = 1e4 * (close[h:] / close[:-h] - 1.0)
        features = np.column_stack([r, ema(r, 20), ema(r, 50), rng.standard_normal(bars)]).astype(np.float32)
        parts.append((np.full(bars, symbol), START + INTERVAL * np.arange(bars), close, features, future))
    columns = [np.concatenate(c) for c in zip(*parts, strict=True)]
    return table.build(NAMES, horizons, *columns)
