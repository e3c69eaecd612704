"""No leak: nothing a later part is judged on was seen by an earlier one."""

import numpy as np
import pytest

from made import small_table
from tickcast_onnx import learn, scaler, split
from tickcast_onnx import table as tables
from tickcast_onnx.settings import Shape, Training


@pytest.mark.parametrize("horizons, embargo, shares", [((1, 5, 15), 319, (0.6, 0.2)), ((1,), 64, (0.7, 0.15)), ((30,), 100, (0.5, 0.25))])
def test_labels_end_before_the_next_part_and_inputs_begin_after_the_last(horizons, embargo, shares):
    made = small_table(bars=3000, symbols=3)
    rows = tables.ends(made, 64)
    parts = split.chronological(rows, made.close_time, made.interval, horizons, embargo, *shares)
    reach, wait = max(horizons) * made.interval, embargo * made.interval
    for earlier, later in ((parts.train, parts.validation), (parts.validation, parts.test)):
        last_label = made.close_time[earlier].max() + reach
        first_input = made.close_time[later].min() - (embargo - 1) * made.interval
        assert last_label < first_input
        assert made.close_time[later].min() - made.close_time[earlier].max() >= reach + wait
    assert len(np.unique(np.concatenate((parts.train, parts.validation, parts.test)))) == sum(
        map(len, (parts.train, parts.validation, parts.test))
    )


def test_all_symbols_are_cut_at_the_same_moment():
    made = small_table(bars=3000, symbols=3)
    parts = split.chronological(tables.ends(made, 64), made.close_time, made.interval, (15,), 319, 0.7, 0.15)
    for part in (parts.train, parts.validation, parts.test):
        edges = {
            (made.close_time[part[made.symbol[part] == s]].min(), made.close_time[part[made.symbol[part] == s]].max()) for s in range(3)
        }
        assert len(edges) == 1


def test_too_short_a_table_is_refused_by_name():
    made = small_table(bars=500, symbols=1)
    with pytest.raises(ValueError, match="no rows are left for validation"):
        split.chronological(tables.ends(made, 64), made.close_time, made.interval, (15,), 319, 0.7, 0.15)


def test_the_scaler_and_the_weights_do_not_know_the_test_days():
    """Training twice, once with the unseen part turned into nonsense, gives the same network to the last bit."""
    made = small_table(bars=1200, symbols=2)
    shape, how = Shape(width=16, depth=1, hidden=16, dropout=0.1), Training(epochs=1, embargo=64, threads=1)
    first, parts = learn.train(made, shape, how, say=lambda _: None)
    features, returns, close = made.features.copy(), made.returns.copy(), made.close.copy()
    for symbol in range(2):
        mine = parts.test[made.symbol[parts.test] == symbol]
        features[mine.min() : mine.max() + 1] = 1e6
        returns[mine.min() : mine.max() + 1] *= -1
    spoilt = tables.build(made.names, made.horizons, made.symbol, made.close_time, close, features, returns)
    second, _ = learn.train(spoilt, shape, how, say=lambda _: None)
    for (name, one), other in zip(first.state_dict().items(), second.state_dict().values(), strict=True):
        assert np.array_equal(one.numpy(), other.numpy()), name
    fitted = scaler.fit(made.features[learn.seen_rows(parts.train, shape.sequence)])
    np.testing.assert_array_equal(first.mean.numpy(), fitted[0])
    np.testing.assert_array_equal(first.deviation.numpy(), fitted[1])


def test_the_scaler_survives_constants_and_one_wild_row():
    features = np.random.default_rng(0).standard_normal((5000, 3)).astype(np.float32)
    features[:, 1] = 7.0
    features[17, 2] = 1e9
    mean, deviation = scaler.fit(features)
    assert deviation[1] == 1.0 and mean[1] == 7.0
    assert 0.9 < deviation[2] < 1.1 and abs(mean[2]) < 0.1


def test_seen_rows_are_those_that_inputs_hold():
    assert learn.seen_rows(np.array([5, 6, 20]), 3).tolist() == [3, 4, 5, 6, 18, 19, 20]
