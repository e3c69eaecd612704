"""Writes indicators.json: generated bars and what TA-Lib says of them.

    python3 -m venv VENV && VENV/bin/pip install numpy==2.* TA-Lib==0.8.2
    VENV/bin/python tests/goldens/make_indicator_goldens.py

The values come from the TA-Lib wheel, which is fed exactly the bars stored beside them. Where TA-Lib has no such function
the formula is written out in numpy. Where TA-Lib answers 0 because a ratio is 0/0, the neutral value that the indicator
documents is written instead (`neutral`), and only there.
"""

import json
from pathlib import Path

import numpy as np
import talib

LENGTH = 256


def ohlc(close, spread, rng):
    """Bars around `close`: each opens where the last one closed."""
    open_ = np.concatenate([close[:1], close[:-1]])
    high = np.maximum(open_, close) * (1 + spread * rng.random(len(close)))
    low = np.minimum(open_, close) * (1 - spread * rng.random(len(close)))
    return open_, high, low, close


def series(name, rng):
    r = rng.normal(size=LENGTH)
    spread, base, volume = 5e-4, 100.0, rng.gamma(2.0, 5.0, LENGTH)
    match name:
        case "walk":
            close = base * np.exp(np.cumsum(1e-3 * r))
        case "large":
            close, spread = 61234.5 * np.exp(np.cumsum(1e-4 * r)), 5e-5
        case "tiny":
            close, volume = 1.234e-5 * np.exp(np.cumsum(2e-3 * r)), volume * 1e6
        case "up":
            close = base * np.exp(np.cumsum(1e-3 + 2e-4 * r))
        case "down":
            close = base * np.exp(np.cumsum(-1e-3 + 2e-4 * r))
        case "spiky":
            close = base * np.exp(np.cumsum(1e-3 * r) + np.where(rng.random(LENGTH) < 0.03, 0.3 * r, 0.0))
            volume = volume * np.where(rng.random(LENGTH) < 0.05, 1e3, 1.0)
        case "ticks":  # a coarse price grid: many bars repeat the price, many have no volume
            close = base + 0.25 * np.cumsum(np.sign(r) * (rng.random(LENGTH) < 0.2))
            volume = np.where(rng.random(LENGTH) < 0.3, 0.0, np.round(volume))
            spread = 0.0
        case "flat":
            close, spread = np.full(LENGTH, 0.1), 0.0
        case "quiet":  # trades, then nothing for longer than every period: synthetic bars
            close = base * np.exp(np.cumsum(1e-3 * r))
            close[200:] = close[199]
            volume[200:] = 0.0
    open_, high, low, close = ohlc(close, spread, rng)
    if name == "quiet":
        high[201:] = low[201:] = close[201:]
    share = rng.random(LENGTH)
    vwap = np.clip((high + low + close) / 3, low, high)
    columns = [open_, high, low, close, volume, vwap, volume * share, volume * (1 - share)]
    # Rounded before TA-Lib sees them: the file holds the very numbers.
    return [np.array([float(f"{v:.9g}") for v in c]) for c in columns]


def expected(o, h, low, c, v, vwap, buy, sell):
    """The value of each call on these bars."""

    def last(a):
        return float(a[-1])

    def flat(n):
        return bool(h[-n:].max() == low[-n:].min())

    values = {}

    def put(call, value, neutral=None):
        values[call] = float(neutral if neutral is not None else value)

    for n in (5, 14, 20, 60):
        put(f"sma(close, {n})", last(talib.SMA(c, n)))
        put(f"ema(close, {n})", last(talib.EMA(c, n)))
        put(f"wma(close, {n})", last(talib.WMA(c, n)))
        put(f"sum(volume, {n})", last(talib.SUM(v, n)))
        put(f"min(low, {n})", last(talib.MIN(low, n)))
        put(f"max(high, {n})", last(talib.MAX(h, n)))
        put(f"rsi(close, {n})", last(talib.RSI(c, n)), 50 if np.all(np.diff(c) == 0) else None)
        put(f"roc(close, {n})", last(talib.ROC(c, n)))
        put(f"atr(high, low, close, {n})", last(talib.ATR(h, low, c, n)))
        put(f"adx(high, low, close, {n})", last(talib.ADX(h, low, c, n)))
        put(f"plus_di(high, low, close, {n})", last(talib.PLUS_DI(h, low, c, n)))
        put(f"minus_di(high, low, close, {n})", last(talib.MINUS_DI(h, low, c, n)))
        put(f"stoch_k(high, low, close, {n})", last(talib.STOCHF(h, low, c, n, 1)[0]), 50 if flat(n) else None)
        put(f"willr(high, low, close, {n})", last(talib.WILLR(h, low, c, n)), -50 if flat(n) else None)
        put(f"cci(high, low, close, {n})", last(talib.CCI(h, low, c, n)), 0 if flat(n) else None)
        typical = (h + low + c) / 3
        still = np.all((np.diff(typical) == 0)[-n:] | (v[-n:] == 0))
        put(f"mfi(high, low, close, volume, {n})", last(talib.MFI(h, low, c, v, n)), 50 if still else None)
        put(f"stddev(close, {n})", last(talib.STDDEV(c, n)), 0 if np.all(c[-n:] == c[-1]) else None)
        z = (c[-1] - talib.SMA(c, n)[-1]) / talib.STDDEV(c, n)[-1] if np.any(c[-n:] != c[-1]) else 0
        put(f"bb_z(close, {n})", z)
        mean = v[-n:].mean()
        slope = last(talib.LINEARREG_SLOPE(talib.OBV(c, v), n))
        put(f"obv_slope(close, volume, {n})", slope / mean if mean else 0)
        weights = v[-n:] if mean else np.ones(n)
        put(f"vwap_gap(close, vwap, volume, {n})", np.log(c[-1] / np.average(vwap[-n:], weights=weights)))
        put(f"realised_vol(close, {n})", np.sqrt(np.mean(np.diff(np.log(c))[-n:] ** 2)))
        put(f"parkinson(high, low, {n})", np.sqrt(np.mean(np.log(h / low)[-n:] ** 2) / (4 * np.log(2))))
        both = buy[-n:].sum() + sell[-n:].sum()
        put(f"trade_imbalance(buy_volume, sell_volume, {n})", (buy[-n:].sum() - sell[-n:].sum()) / both if both else 0)
        put(f"lag(close, {n})", c[-1 - n])
    for fast, slow, signal in ((12, 26, 9), (5, 35, 5), (3, 10, 16)):
        line, _, hist = talib.MACD(c, fast, slow, signal)
        put(f"macd(close, {fast}, {slow})", last(line))
        put(f"macd_hist(close, {fast}, {slow}, {signal})", last(hist))
    put("last(close)", c[-1])
    return values


def main():
    rng = np.random.default_rng(20240809)
    columns = ["open", "high", "low", "close", "volume", "vwap", "buy_volume", "sell_volume"]
    cases = []
    for name in ("walk", "large", "tiny", "up", "down", "spiky", "ticks", "flat", "quiet"):
        bars = series(name, rng)
        cases.append(
            {
                "name": name,
                "columns": {key: values.tolist() for key, values in zip(columns, bars, strict=False)},
                "expected": expected(*bars),
            }
        )
    out = Path(__file__).with_name("indicators.json")
    lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
    out.write_text(f'{{"talib":"{talib.__version__}","series":[\n{lines}\n]}}\n')
    print(f"{out}: {out.stat().st_size} bytes, {len(cases)} series of {len(cases[0]['expected'])} values")


if __name__ == "__main__":
    main()
