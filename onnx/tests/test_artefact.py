"""The ONNX file: export, parity, metadata, golden rows; and the committed reference model itself."""

import json
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from tickcast_onnx import artefact
from tickcast_onnx.network import PatchTransformer
from tickcast_onnx.settings import Shape

HERE = Path(__file__).resolve().parent.parent
REFERENCE = HERE / "models" / "reference.onnx"
KEYS = {
    f"tickcast.{key}"
    for key in (
        "contract",
        "name",
        "version",
        "features",
        "window",
        "sequence",
        "bar_interval",
        "horizons",
        "dead_band_bps",
        "training_range",
        "acceptance",
        "golden",
    )
}


def lively(shape, seed=0):
    """An untrained network whose head says something."""
    torch.manual_seed(seed)
    network = PatchTransformer(
        shape, np.linspace(-1, 1, shape.features).astype(np.float32), np.linspace(0.5, 2, shape.features).astype(np.float32)
    ).eval()
    torch.nn.init.normal_(network.head.weight, std=0.3)
    network.temperature.copy_(torch.linspace(0.8, 1.4, shape.horizons))
    return network


def about(shape, horizons):
    return artefact.About("tiny", "0.0.1", "SELECT 1", 256, shape.sequence, "10s", horizons, 2.5, 1, 2, {"rows": 3})


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    shape = Shape(features=4, sequence=16, patch=4, width=16, depth=1, heads=2, hidden=16, horizons=2)
    network, path = lively(shape), tmp_path_factory.mktemp("model") / "tiny.onnx"
    unseen = np.random.default_rng(1).standard_normal((9, 16, 4)).astype(np.float32)
    worst = artefact.write(network, path, about(shape, (1, 5)), unseen)
    return network, path, unseen, worst


def test_onnx_runtime_says_what_pytorch_says_for_every_batch(tiny):
    network, path, unseen, worst = tiny
    assert worst <= artefact.PARITY
    running = artefact.session(path)
    for batch in (1, 2, 3, 7, 256):
        rows = np.resize(unseen, (batch, 16, 4))
        with torch.no_grad():
            expected = network(torch.from_numpy(rows)).numpy()
        np.testing.assert_allclose(running.run(None, {"features": rows})[0], expected, atol=1e-5)


def test_only_the_batch_is_dynamic_and_the_names_are_the_contracts(tiny):
    graph = onnx.load(tiny[1]).graph
    (inlet,), (outlet,) = graph.input, graph.output
    for value, name, sizes in ((inlet, "features", [16, 4]), (outlet, "probabilities", [2, 3])):
        kind = value.type.tensor_type
        assert (value.name, kind.elem_type) == (name, onnx.TensorProto.FLOAT)
        assert kind.shape.dim[0].dim_param == "batch"
        assert [d.dim_value for d in kind.shape.dim[1:]] == sizes


def test_metadata_is_complete_and_reads_back(tiny):
    said = {p.key: p.value for p in onnx.load(tiny[1]).metadata_props}
    assert set(said) == KEYS
    assert said["tickcast.contract"] == "1" and said["tickcast.bar_interval"] == "10s"
    assert said["tickcast.horizons"] == "[1,5]" and said["tickcast.dead_band_bps"] == "2.5"
    assert said["tickcast.training_range"] == '{"from":1,"to":2}'
    assert json.loads(said["tickcast.acceptance"]) == {"rows": 3}
    rows, answer = artefact.unpack_golden(said["tickcast.golden"], 16, 4, 2)
    np.testing.assert_array_equal(rows, tiny[2][:4])
    np.testing.assert_allclose(artefact.session(tiny[1]).run(None, {"features": rows})[0], answer, atol=1e-6)


def test_an_export_that_differs_is_refused_and_leaves_the_old_file(tiny, tmp_path, monkeypatch):
    target = tmp_path / "model.onnx"
    target.write_bytes(b"old")
    monkeypatch.setattr(artefact, "parity", lambda *_: float("nan"))
    with pytest.raises(ValueError, match="differs from PyTorch"):
        artefact.write(tiny[0], target, about(tiny[0].shape, (1, 5)), tiny[2])
    assert [p.name for p in tmp_path.iterdir()] == ["model.onnx"] and target.read_bytes() == b"old"


def test_the_file_names_no_path_of_the_machine_that_made_it(tiny):
    for path in (tiny[1], REFERENCE):
        content = path.read_bytes()
        assert str(HERE).encode() not in content and b"site-packages" not in content and sys.prefix.encode() not in content


def test_the_reference_model_keeps_the_contract():
    assert REFERENCE.stat().st_size < artefact.LARGEST
    model = onnx.load(REFERENCE)
    onnx.checker.check_model(model, full_check=True)
    assert [(o.domain, o.version) for o in model.opset_import] == [("", artefact.OPSET)]
    said = {p.key: p.value for p in model.metadata_props}
    assert set(said) == KEYS
    assert said["tickcast.name"] == "reference" and said["tickcast.horizons"] == "[1,5,15]"
    assert (said["tickcast.window"], said["tickcast.sequence"], said["tickcast.bar_interval"]) == ("256", "64", "any")
    assert said["tickcast.features"] == (HERE / "features" / "reference.sql").read_text()
    span = json.loads(said["tickcast.training_range"])
    acceptance = json.loads(said["tickcast.acceptance"])
    assert span["from"] < span["to"] < acceptance["from"] < acceptance["to"]


def test_the_reference_models_golden_rows_reproduce():
    said = {p.key: p.value for p in onnx.load(REFERENCE).metadata_props}
    rows, answer = artefact.unpack_golden(said["tickcast.golden"], 64, 16, 3)
    assert rows.shape == (4, 64, 16) and np.isfinite(rows).all()
    running = artefact.session(REFERENCE)
    np.testing.assert_allclose(running.run(None, {"features": rows})[0], answer, atol=1e-4)
    np.testing.assert_allclose(np.concatenate([running.run(None, {"features": rows[i : i + 1]})[0] for i in range(4)]), answer, atol=1e-4)


def test_the_reference_model_was_accepted_within_three_points_of_the_optimum():
    acceptance = json.loads({p.key: p.value for p in onnx.load(REFERENCE).metadata_props}["tickcast.acceptance"])
    for part in (acceptance, acceptance["fresh"]):
        assert list(part["horizons"]) == ["1", "5", "15"]
        first = part["horizons"]["1"]
        assert first["hit"] > first["optimum_hit"] - 0.03
        assert first["log_loss"] < min(rule["log_loss"] for rule in first["baselines"].values())
