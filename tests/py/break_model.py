"""Writes broken twins of a model, one file each: break_model.py MODEL FOLDER. Called by tests/it/models.rs, which knows what
`tickcast model validate` must say about each of them."""

import base64
import json
import pathlib
import sys

import numpy as np

import onnx
from onnx import TensorProto, helper


def metadata(model, **values):
    """Sets metadata properties `tickcast.NAME`; None removes one."""
    kept = {p.key: p.value for p in model.metadata_props if p.key.removeprefix("tickcast.") not in values}
    kept.update({f"tickcast.{name}": value for name, value in values.items() if value is not None})
    del model.metadata_props[:]
    helper.set_model_props(model, kept)


def get(model, name):
    return next(p.value for p in model.metadata_props if p.key == f"tickcast.{name}")


def golden(model, change):
    held = json.loads(get(model, "golden"))
    change(held)
    metadata(model, golden=json.dumps(held))


def shift(held):
    values = np.frombuffer(base64.b64decode(held["probabilities"]), dtype="<f4") + np.float32(2e-4)
    held["probabilities"] = base64.b64encode(values.tobytes()).decode()


def rename(model, before, after):
    """A tensor's name, wherever it is used."""
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = [after if name == before else name for name in names]
    for outlet in [*model.graph.input, *model.graph.output]:
        outlet.name = after if outlet.name == before else outlet.name


def fixed_batch(model):
    for outlet in [*model.graph.input, *model.graph.output]:
        outlet.type.tensor_type.shape.dim[0].dim_value = 1


def more_output(model, name):
    model.graph.node.append(helper.make_node("Identity", ["probabilities"], [name]))
    model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 3, 3]))


def double_output(model):
    rename(model, "probabilities", "single")
    del model.graph.output[:]
    model.graph.node.append(helper.make_node("Cast", ["single"], ["probabilities"], to=TensorProto.DOUBLE))
    model.graph.output.append(helper.make_tensor_value_info("probabilities", TensorProto.DOUBLE, ["batch", 3, 3]))


def fewer_features(model):
    sql = get(model, "features")
    metadata(model, features=sql.replace("  bb_z(close, 20) AS bb_z_20,\n", ""))


BROKEN = {
    "no_metadata": lambda m: m.metadata_props.__delitem__(slice(None)),
    "no_window": lambda m: metadata(m, window=None),
    "contract_2": lambda m: metadata(m, contract="2"),
    "window_word": lambda m: metadata(m, window="many", sequence="-1"),
    "short_window": lambda m: metadata(m, window="40"),
    "sequence_32": lambda m: metadata(m, sequence="32"),
    "interval": lambda m: metadata(m, bar_interval="7s"),
    "horizons": lambda m: metadata(m, horizons="[15,5,1]"),
    "two_horizons": lambda m: metadata(m, horizons="[1,5]"),
    "reserved": lambda m: metadata(m, min_sequence="8"),
    "sql_now": lambda m: metadata(m, features="SELECT now() AS t FROM window"),
    "sql_join": lambda m: metadata(m, features="SELECT last(a.close) AS c FROM window a, window b"),
    "sql_ddl": lambda m: metadata(m, features="DROP TABLE window"),
    "sql_name": lambda m: metadata(m, features="SELECT last(clothes) AS c FROM window"),
    "fewer_features": fewer_features,
    "golden_off": lambda m: golden(m, shift),
    "golden_rows": lambda m: golden(m, lambda held: held.update(rows=5)),
    "golden_none": lambda m: golden(m, lambda held: held.update(rows=0, features="", probabilities="")),
    "input_name": lambda m: rename(m, "features", "x"),
    "output_name": lambda m: rename(m, "probabilities", "y"),
    "fixed_batch": fixed_batch,
    "quantiles": lambda m: more_output(m, "quantiles"),
    "unknown_output": lambda m: more_output(m, "attention"),
    "f64": double_output,
}


def main():
    source, folder = sys.argv[1:]
    for name, change in BROKEN.items():
        model = onnx.load(source)
        change(model)
        onnx.save(model, str(pathlib.Path(folder) / f"{name}.onnx"))


if __name__ == "__main__":
    main()
