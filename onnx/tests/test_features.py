"""The second opinion on `reference.sql` (tests/py/talib_features.py) agrees with its names and is finite where markets stand still."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "py"))
talib_features = pytest.importorskip("talib_features")

SQL = (ROOT / "onnx" / "features" / "reference.sql").read_text()


def window(seed=0, scale=100.0):
    rng = np.random.default_rng(seed)
    path = scale * np.exp(8e-4 * np.cumsum(rng.standard_normal((256, 6))).reshape(256, 6))
    volume = rng.lognormal(size=(256, 6))
    bought = volume * (rng.random((256, 6)) < 0.5)
    return {
        "open": path[:, 0],
        "high": path.max(axis=1),
        "low": path.min(axis=1),
        "close": path[:, -1],
        "volume": volume.sum(axis=1),
        "buy_volume": bought.sum(axis=1),
        "sell_volume": (volume - bought).sum(axis=1),
    }


def test_names_are_those_of_the_sql_in_its_order():
    assert tuple(re.findall(r" AS (\w+)", SQL)) == talib_features.NAMES


def test_features_do_not_depend_on_the_unit_of_price_or_volume():
    bars = window()
    plain = talib_features.features(bars)
    other = {k: v * (1e-7 if "volume" in k else 3e-6) for k, v in bars.items()}
    assert np.isfinite(plain).all()
    np.testing.assert_allclose(talib_features.features(other), plain, rtol=1e-7, atol=1e-9)


def test_a_flat_series_is_neutral():
    flat = np.full(256, 12.5)
    bars = {k: flat for k in ("open", "high", "low", "close")} | {k: 0 * flat for k in ("volume", "buy_volume", "sell_volume")}
    halves = {"rsi_14", "stoch_k_14", "mfi_14"}
    expected = [0.5 if name in halves else 0.0 for name in talib_features.NAMES]
    np.testing.assert_allclose(talib_features.features(bars), expected, atol=1e-9)
