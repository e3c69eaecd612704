"""Training on a tiny generated market finds the rule, honestly scored."""

import numpy as np
import pytest
import torch

from made import small_table
from tickcast_onnx import learn, market, score
from tickcast_onnx.settings import Shape, Training


@pytest.fixture(scope="module")
def trained():
    made = small_table(bars=3000, symbols=6, k=0.4)
    shape = Shape(width=32, depth=1, heads=2, hidden=32, dropout=0.1)
    how = Training(epochs=3, batch=256, learning_rate=2e-3, averaging=0.98, embargo=100, threads=1)
    network, parts = learn.train(made, shape, how, say=lambda _: None)
    return made, network, parts


def test_a_tiny_model_beats_every_baseline_on_unseen_bars(trained):
    made, network, parts = trained
    windows = learn.Windows(made, 64, 0.0)
    with torch.no_grad():
        probabilities = network(torch.from_numpy(windows.batch(parts.test))).numpy()
    rules = [score.learn_rules(made, i, 0.0, parts.train) for i in range(3)]
    best = market.best_direction(made.symbol, made.close)
    for horizon, figures in score.report(made, parts.test, probabilities, 0.0, rules, best).items():
        for name, rule in figures["baselines"].items():
            assert figures["log_loss"] < rule["log_loss"], (horizon, name)
        assert figures["hit"] > figures["optimum_hit"] - 0.03, horizon


def test_temperature_is_found_where_the_logits_are_too_sure():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(20_000, 1, 3, generator=generator)
    labels = torch.multinomial(logits[:, 0].softmax(dim=-1), 1, generator=generator)
    assert float(learn.temperatures(2.0 * logits, labels)[0]) == pytest.approx(2.0, rel=0.06)


def test_the_optimum_of_the_rule_is_what_simulation_says():
    made = small_table(bars=6000, symbols=10, seed=3)
    best, known = market.best_direction(made.symbol, made.close), np.isfinite(made.returns[:, 0])
    assert np.mean(best[known] == np.sign(made.returns[known, 0])) == pytest.approx(0.581, abs=0.01)


def test_metrics_by_hand():
    up = np.array([0.9, 0.4, 0.6])
    figures = score.binary(up, np.array([True, True, False]))
    assert figures["hit"] == pytest.approx(1 / 3)
    assert figures["log_loss"] == pytest.approx(-(np.log(0.9) + 2 * np.log(0.4)) / 3)
    assert figures["brier"] == pytest.approx((0.01 + 0.36 + 0.36) / 3)


def test_overlapping_rows_do_not_narrow_the_interval():
    """Fifteen copies of each score are fifteen phases of one cohort, not fifteen times the evidence."""
    scores = np.random.default_rng(0).integers(0, 2, 400).astype(float)
    cohorts, width = score.interval(np.repeat(scores, 15), np.arange(6000), 15)
    assert cohorts == 400
    assert width == pytest.approx(1.96 * scores.std(ddof=1) / 20.0)
    assert score.interval(scores, np.zeros(400, int), 1)[0] == 0
