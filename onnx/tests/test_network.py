"""The network's shape and what it promises of its outputs."""

import numpy as np
import pytest
import torch

from tickcast_onnx.network import PatchTransformer
from tickcast_onnx.settings import Shape


@pytest.mark.parametrize(
    "shape",
    [
        Shape(),
        Shape(sequence=32, patch=4, width=32, depth=1, heads=2, hidden=48, features=5, horizons=2),
        Shape(patch=64, depth=3, heads=8),
    ],
)
def test_every_shape_gives_probabilities(shape):
    network = PatchTransformer(shape).eval()
    answer = network(torch.randn(7, shape.sequence, shape.features)).detach().numpy()
    assert answer.shape == (7, shape.horizons, 3)
    np.testing.assert_allclose(answer.sum(axis=2), 1.0, atol=1e-6)
    assert (answer > 0).all()


def test_the_reference_shape_is_small():
    assert 70_000 < sum(p.numel() for p in PatchTransformer(Shape()).parameters()) < 85_000


def test_a_shape_that_cannot_be_is_refused():
    with pytest.raises(ValueError, match="patches of 7"):
        Shape(patch=7)
    with pytest.raises(ValueError, match="5 heads"):
        Shape(heads=5)


def test_outliers_are_clipped_inside_and_order_in_time_matters():
    network = PatchTransformer(Shape(), np.full(16, 2.0, np.float32), np.full(16, 0.5, np.float32)).eval()
    torch.nn.init.normal_(network.head.weight)
    rows = torch.randn(4, 64, 16) * 0.5 + 2.0
    wild, wilder = rows.clone(), rows.clone()
    wild[:, 10, 3], wilder[:, 10, 3] = 1e3, 1e30
    assert torch.equal(network(wild), network(wilder))
    # Two old patches change places: only the positions can tell.
    swapped = torch.cat((rows[:, :8], rows[:, 16:24], rows[:, 8:16], rows[:, 24:]), dim=1)
    assert not torch.allclose(network(rows), network(swapped), atol=1e-4)


def test_rows_of_a_batch_do_not_touch_each_other():
    network = PatchTransformer(Shape()).eval()
    torch.nn.init.normal_(network.head.weight)
    rows = torch.randn(5, 64, 16)
    other = rows.clone()
    other[3] = float("nan")
    before, after = network(rows).detach().numpy(), network(other).detach().numpy()
    keep = [0, 1, 2, 4]
    np.testing.assert_allclose(before[keep], after[keep], atol=1e-6)
    assert np.isnan(after[3]).all()
