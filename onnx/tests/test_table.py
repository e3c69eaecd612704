"""Reading tables, finding whole sequences, labels."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from made import NAMES, small_table
from tickcast_onnx import table as tables


def test_a_sequence_never_crosses_a_gap_a_hole_or_a_symbol():
    made = small_table(bars=300, symbols=2)
    features = made.features.copy()
    features[100, 2] = np.nan
    close_time = made.close_time.copy()
    close_time[200:300] += made.interval
    broken = tables.build(made.names, made.horizons, made.symbol, close_time, made.close, features, made.returns)
    ends = tables.ends(broken, 64)
    expected = [*range(63, 100), *range(164, 200), *range(263, 300), *range(363, 600)]
    assert ends.tolist() == expected


def test_a_symbol_that_begins_where_another_ends_starts_anew():
    made = small_table(bars=100, symbols=2)
    close_time = made.close_time + 100 * made.interval * made.symbol
    joined = tables.build(made.names, made.horizons, made.symbol, close_time, made.close, made.features, made.returns)
    assert tables.ends(joined, 64).tolist() == [*range(63, 100), *range(163, 200)]


def test_classes_put_the_edge_of_the_band_in_the_middle_and_mark_the_unknown():
    returns = np.array([-2.1, -2.0, 0.0, 2.0, 2.1, np.nan])
    assert tables.classes(returns, 2.0).tolist() == [0, 1, 1, 1, 2, -1]


def test_parquet_round_trip_keeps_the_features_in_their_order(tmp_path):
    made = small_table(bars=120, symbols=2)
    columns = {"symbol": [f"S{s}" for s in made.symbol], "close_time": made.close_time, "close": made.close}
    columns |= {name: made.features[:, i] for i, name in enumerate(NAMES)}
    for i, h in enumerate(made.horizons):
        columns[f"return_bps_{h}"] = pa.array(made.returns[:, i], mask=np.isnan(made.returns[:, i]))
    parquet.write_table(pa.table(columns), tmp_path / "t.parquet")
    read = tables.read(tmp_path / "t.parquet", (1, 5, 15))
    assert read.names == NAMES and read.interval == made.interval
    np.testing.assert_array_equal(read.features, made.features)
    np.testing.assert_array_equal(read.returns, made.returns)
    with pytest.raises(ValueError, match="return_bps_30"):
        tables.read(tmp_path / "t.parquet", (1, 30))


def test_a_bar_that_is_there_twice_is_refused():
    made = small_table(bars=10, symbols=1)
    twice = made.close_time.copy()
    twice[5] = twice[4]
    with pytest.raises(ValueError, match="no bar twice"):
        tables.build(made.names, made.horizons, made.symbol, twice, made.close, made.features, made.returns)
