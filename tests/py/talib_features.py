"""The sixteen features of `onnx/features/reference.sql`, computed with TA-Lib and numpy.

A second opinion, written without the Rust code in view: checks compare it with what `tickcast` computes from the same
bars. Not a part of the package and never used to train.
"""

import numpy as np
import talib

WINDOW = 256
VOL_FLOOR = 1e-6
NAMES = (
    "ret_1",
    "ret_5",
    "ret_15",
    "ema_gap_12",
    "ema_gap_20",
    "ema_gap_50",
    "rsi_14",
    "macd_hist",
    "atr_14",
    "bb_z_20",
    "adx_14",
    "stoch_k_14",
    "cci_20",
    "mfi_14",
    "trade_imbalance_20",
    "parkinson_20",
)


def realised_vol(price, n):
    """Root of the mean squared log return of the last `n` bars, per bar."""
    last = price[-n - 1 :]
    returns = np.log(last[1:] / last[:-1])
    return float(np.sqrt(np.mean(returns * returns)))


def parkinson(high, low, n):
    """Parkinson's range volatility of the last `n` bars, per bar."""
    span = np.log(high[-n:] / low[-n:])
    return float(np.sqrt(np.mean(span * span) / (4.0 * np.log(2.0))))


def bb_z(price, n):
    """Deviations of the last price from its mean over `n` bars (population deviation); 0 where they are all equal."""
    last = price[-n:]
    if np.all(last == last[0]):
        return 0.0
    return float((last[-1] - last.mean()) / last.std())


def imbalance(buy, sell, n):
    """Signed share of the volume whose side is known over `n` bars; 0 without such volume."""
    bought, sold = buy[-n:].sum(), sell[-n:].sum()
    return float((bought - sold) / (bought + sold)) if bought + sold > 0 else 0.0


def comfortable(series):
    """The series times a power of two (exact), about a million: TA-Lib takes anything below 1e-14 for zero (RSI, ADX), and
    money flows below 1 (MFI), so its answers would depend on the unit of the price."""
    top = np.max(series)
    return series * 2.0 ** (20 - np.floor(np.log2(top))) if top > 0 else series


def neutral(value, flat, instead):
    """TA-Lib's value, or the documented neutral one where the series does not move (TA-Lib says 0 there)."""
    return instead if flat else float(value)


def features(bars):
    """Sixteen f64 values from the last 256 bars: a mapping of `open, high, low, close, volume, buy_volume, sell_volume`
    to arrays of 256, oldest first. Recursive indicators start at the window's start, as TA-Lib does with 256 values."""
    column = {
        name: np.ascontiguousarray(bars[name], dtype=np.float64) for name in ("high", "low", "close", "volume", "buy_volume", "sell_volume")
    }
    if len(column["close"]) != WINDOW:
        raise ValueError(f"a window has {WINDOW} bars, this one {len(column['close'])}")
    high, low, close = comfortable(np.stack([column["high"], column["low"], column["close"]]))
    volume = comfortable(column["volume"])
    now = close[-1]
    vol = max(realised_vol(close, 60), VOL_FLOOR)

    flat_close = bool(np.all(close == close[0]))
    flat_range = high[-14:].max() == low[-14:].min()
    typical = (high + low + close) / 3.0
    flat_typical = bool(np.ptp(typical[-20:]) <= 8 * np.finfo(float).eps * typical[-1])
    moved = np.diff(typical[-15:]) != 0
    no_money = not np.any(moved & (volume[-14:] > 0))

    def gap(span):
        return (now / talib.EMA(close, span)[-1] - 1.0) / vol

    def past(bars_ago):
        return float(np.log(now / close[-1 - bars_ago]) / (vol * np.sqrt(float(bars_ago))))

    fast_k, _ = talib.STOCHF(high, low, close, fastk_period=14, fastd_period=1)
    _, _, hist = talib.MACD(close, 12, 26, 9)
    return np.array(
        [
            past(1),
            past(5),
            past(15),
            gap(12),
            gap(20),
            gap(50),
            neutral(talib.RSI(close, 14)[-1], flat_close, 50.0) / 100.0,
            hist[-1] / now / vol,
            talib.ATR(high, low, close, 14)[-1] / now / vol,
            bb_z(close, 20),
            talib.ADX(high, low, close, 14)[-1] / 100.0,
            neutral(fast_k[-1], flat_range, 50.0) / 100.0,
            neutral(talib.CCI(high, low, close, 20)[-1], flat_typical, 0.0) / 100.0,
            neutral(talib.MFI(high, low, close, volume, 14)[-1], no_money, 50.0) / 100.0,
            imbalance(column["buy_volume"], column["sell_volume"], 20),
            parkinson(high, low, 20) / vol,
        ]
    )
