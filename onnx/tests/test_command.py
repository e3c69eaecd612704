"""The command, from a Parquet table to the file and its card; and its refusal."""

import json

import numpy as np
import onnx
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from made import NAMES, small_table
from tickcast_onnx import __main__ as command
from tickcast_onnx import artefact


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    folder = tmp_path_factory.mktemp("command")
    for name, seed in (("train", 1), ("fresh", 2)):
        made = small_table(bars=900, symbols=3, seed=seed)
        columns = {"symbol": [f"S{s}" for s in made.symbol], "close_time": made.close_time, "close": made.close}
        columns |= {name: made.features[:, i] for i, name in enumerate(NAMES)}
        for i, h in enumerate(made.horizons):
            columns[f"return_bps_{h}"] = pa.array(made.returns[:, i], mask=np.isnan(made.returns[:, i]))
        parquet.write_table(pa.table(columns), folder / f"{name}.parquet")
    (folder / "f.sql").write_text("SELECT 1")
    text = f"--data {folder}/train.parquet --fresh {folder}/fresh.parquet --features {folder}/f.sql --output {folder}/m.onnx"
    small = "--width 16 --depth 1 --heads 2 --hidden 16 --epochs 1 --batch 128 --learning-rate 0.005 --embargo 64 --name tiny"
    return (text + " " + small).split(), folder


def test_a_model_that_misses_the_optimum_is_refused_and_nothing_is_written(words, monkeypatch, capsys):
    monkeypatch.setattr(command, "ACCEPTED", -100.0)
    assert command.main(words[0]) == 1
    assert "nothing was written" in capsys.readouterr().err
    assert not (words[1] / "m.onnx").exists() and not (words[1] / "m.md").exists()


def test_an_accepted_one_is_written_with_its_card(words, monkeypatch):
    monkeypatch.setattr(command, "ACCEPTED", 100.0)
    assert command.main(words[0]) == 0
    said = {p.key: p.value for p in onnx.load(words[1] / "m.onnx").metadata_props}
    acceptance = json.loads(said["tickcast.acceptance"])
    card = (words[1] / "m.md").read_text()
    assert said["tickcast.name"] == "tiny" and card.startswith("# tiny 1.0.0")
    for part in (acceptance, acceptance["fresh"]):
        assert f"**{100 * part['horizons']['1']['hit']:.2f}%**" in card
    rows, answer = artefact.unpack_golden(said["tickcast.golden"], 64, 4, 3)
    np.testing.assert_allclose(artefact.session(words[1] / "m.onnx").run(None, {"features": rows})[0], answer, atol=1e-6)
