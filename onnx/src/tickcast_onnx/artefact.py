"""The ONNX file: export, metadata, golden rows, and the checks that it says what the trained network says.

The keys and encodings of the metadata are the contract with tickcast's loader (`tickcast model validate FILE`).
"""

import base64
import json
import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch

OPSET = 20
PARITY = 1e-4
BATCHES = (1, 2, 7, 256)
LARGEST = 1 << 20
"""Bytes a model may have: it is compiled into the binary."""


@dataclass(frozen=True)
class About:
    """What the file says of itself. Times in microseconds since the epoch."""

    name: str
    version: str
    features: str
    window: int
    sequence: int
    bar_interval: str
    horizons: tuple[int, ...]
    dead_band_bps: float
    training_from: int
    training_to: int
    acceptance: dict

    def metadata(self) -> dict[str, str]:
        """The file's `metadata_props`, all strings."""
        compact = {"separators": (",", ":"), "allow_nan": False}
        return {
            "tickcast.contract": "1",
            "tickcast.name": self.name,
            "tickcast.version": self.version,
            "tickcast.features": self.features,
            "tickcast.window": str(self.window),
            "tickcast.sequence": str(self.sequence),
            "tickcast.bar_interval": self.bar_interval,
            "tickcast.horizons": json.dumps(list(self.horizons), **compact),
            "tickcast.dead_band_bps": f"{self.dead_band_bps:g}",
            "tickcast.training_range": json.dumps({"from": self.training_from, "to": self.training_to}, **compact),
            "tickcast.acceptance": json.dumps(self.acceptance, **compact),
        }


def export(network, path) -> None:
    """Writes the network alone. The example batch is 2: with 1 the exporter would fix the batch and say nothing."""
    shape = network.shape
    # It warns of torchvision, which nothing here needs.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    example = torch.zeros(2, shape.sequence, shape.features)
    program = torch.onnx.export(
        network.eval(),
        (example,),
        dynamo=True,
        external_data=False,
        opset_version=OPSET,
        input_names=["features"],
        output_names=["probabilities"],
        dynamic_shapes={"features": {0: "batch"}},
        verbose=False,
    )
    model = program.model_proto
    for node in model.graph.node:
        # The exporter notes where in our source each node came from: machine paths, half of the file.
        node.ClearField("metadata_props")
        node.ClearField("doc_string")
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output, *model.graph.initializer):
        value.ClearField("metadata_props")
    model.graph.ClearField("metadata_props")
    model.ClearField("metadata_props")
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))


def session(path, threads: int = 1) -> onnxruntime.InferenceSession:
    """An ONNX Runtime session on the CPU."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def ask(running, features: np.ndarray, batch: int = 256) -> np.ndarray:
    """Probabilities of many windows."""
    return np.concatenate(
        [running.run(["probabilities"], {"features": features[at : at + batch]})[0] for at in range(0, len(features), batch)]
    )


@torch.no_grad()
def parity(network, running, features: np.ndarray) -> float:
    """Largest difference between PyTorch and ONNX Runtime, over batches of every size in `BATCHES` cut from `features`."""
    worst = 0.0
    for size in BATCHES:
        rows = np.resize(features, (size, *features.shape[1:]))
        expected = network(torch.from_numpy(rows)).numpy()
        worst = max(worst, float(np.abs(expected - running.run(["probabilities"], {"features": rows})[0]).max()))
    return worst


def golden(running, features: np.ndarray) -> str:
    """Windows and what ONNX Runtime says of them, as the metadata holds them."""
    rows = np.ascontiguousarray(features, "<f4")
    answer = running.run(["probabilities"], {"features": rows})[0].astype("<f4")
    packed = {
        "rows": len(rows),
        "features": base64.b64encode(rows.tobytes()).decode(),
        "probabilities": base64.b64encode(answer.tobytes()).decode(),
    }
    return json.dumps(packed, separators=(",", ":"))


def unpack_golden(text: str, sequence: int, features: int, horizons: int) -> tuple[np.ndarray, np.ndarray]:
    """The windows [n, sequence, feature] and probabilities [n, horizon, 3] of a golden entry."""
    packed = json.loads(text)
    rows = np.frombuffer(base64.b64decode(packed["features"]), "<f4").reshape(packed["rows"], sequence, features)
    answer = np.frombuffer(base64.b64decode(packed["probabilities"]), "<f4").reshape(packed["rows"], horizons, 3)
    return rows, answer


def write(network, path, about: About, unseen: np.ndarray, golden_rows: int = 4) -> float:
    """Exports, checks against PyTorch on unseen windows, embeds metadata and golden rows, and moves the file into place only
    when it is right. Returns the parity. Raises ValueError where the file breaks a promise."""
    path = Path(path)
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        draft = Path(scratch) / path.name
        export(network, draft)
        running = session(draft)
        worst = parity(network, running, unseen)
        if not worst <= PARITY:
            raise ValueError(f"ONNX Runtime differs from PyTorch by {worst:.2e}, more than {PARITY:.0e}: the export is wrong")
        model = onnx.load(draft)
        onnx.helper.set_model_props(model, about.metadata() | {"tickcast.golden": golden(running, unseen[:golden_rows])})
        onnx.save(model, str(draft))
        size = draft.stat().st_size
        if size >= LARGEST:
            raise ValueError(f"{path.name} has {size} bytes, {LARGEST} are too many: make the network smaller")
        session(draft)
        draft.replace(path)
    return worst
