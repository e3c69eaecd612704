"""`python -m tickcast_onnx`: trains the reference model from tables of `tickcast dataset` and writes the ONNX file and its card."""

import argparse
import hashlib
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from . import artefact, card, learn, market, scaler, score
from . import table as tables
from .settings import Shape, Training

ACCEPTED = 3.0
"""Points that the model may miss the known optimum by, one bar ahead, on unseen rows."""


def arguments(words=None):
    """The command line."""
    parser = argparse.ArgumentParser(prog="tickcast_onnx", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="Parquet table to train on")
    parser.add_argument("--fresh", type=Path, help="Parquet table of another seed: scored, never trained on")
    parser.add_argument("--features", type=Path, required=True, help="the SQL that both tables were computed with")
    parser.add_argument("--output", type=Path, required=True, help="ONNX file to write; its card goes beside it as .md")
    parser.add_argument("--name", default="reference")
    parser.add_argument("--version", default="1.0.0")
    parser.add_argument("--bar-interval", default="any")
    parser.add_argument("--seeds", default="1,2", help="the tables' generator seeds, for the card")
    for field, value in (asdict(Shape()) | asdict(Training())).items():
        if field not in ("horizons", "features"):
            parser.add_argument("--" + field.replace("_", "-"), type=type(value) if value is not None else int, default=value)
    return parser.parse_args(words)


def chosen(kind, options):
    """The options that belong to one of the settings."""
    return replace(kind(), **{k: getattr(options, k) for k in asdict(kind()) if k not in ("horizons", "features")})


def scored(network, table, rows, how, rules):
    """Acceptance figures of some rows, from PyTorch's own probabilities (parity is checked at export)."""
    windows = learn.Windows(table, network.shape.sequence, how.dead_band_bps)
    logits = learn.logits_of(network, windows, rows)
    probabilities = (logits / network.temperature[:, None]).softmax(dim=-1).numpy()
    best = market.best_direction(table.symbol, table.close)
    return {
        "from": int(table.close_time[rows].min()),
        "to": int(table.close_time[rows].max()),
        "rows": len(rows),
        "horizons": score.report(table, rows, probabilities, how.dead_band_bps, rules, best),
    }


def main(words=None) -> int:
    """Trains, accepts or refuses, writes. Exit code 1 where the model misses its acceptance."""
    options = arguments(words)
    shape, how = chosen(Shape, options), chosen(Training, options)
    table = tables.read(options.data, how.horizons)
    network, parts = learn.train(table, shape, how, say=lambda line: print(line, file=sys.stderr, flush=True))
    rules = [score.learn_rules(table, column, how.dead_band_bps, parts.train) for column in range(len(table.horizons))]
    acceptance = scored(network, table, parts.test, how, rules)
    if options.fresh:
        fresh = tables.read(options.fresh, how.horizons)
        acceptance["fresh"] = scored(network, fresh, tables.ends(fresh, shape.sequence), how, rules)
    missed = [part for part in (acceptance, acceptance.get("fresh")) if part and card.shortfall(part["horizons"]) > ACCEPTED]
    for part in missed:
        points = card.shortfall(part["horizons"])
        print(
            f"refused: {points:.2f} points below the optimum one bar ahead, {ACCEPTED:g} are accepted; nothing was written", file=sys.stderr
        )
    if missed:
        return 1
    learnt = np.concatenate((parts.train, parts.validation))
    about = artefact.About(
        name=options.name,
        version=options.version,
        features=options.features.read_text(),
        window=how.window,
        sequence=shape.sequence,
        bar_interval=options.bar_interval,
        horizons=how.horizons,
        dead_band_bps=how.dead_band_bps,
        training_from=int(table.close_time[learnt].min()),
        training_to=int(table.close_time[learnt].max()),
        acceptance=acceptance,
    )
    unseen = learn.Windows(table, shape.sequence, how.dead_band_bps).batch(parts.test[:: max(1, len(parts.test) // 256)])
    worst = artefact.write(network, options.output, about, unseen)
    seeds = options.seeds.split(",")
    content = options.output.read_bytes()
    page = card.page(
        acceptance,
        name=options.name,
        version=options.version,
        count=network.shape.features,
        sequence=shape.sequence,
        horizons=", ".join(map(str, how.horizons)),
        outputs=len(how.horizons),
        size=len(content),
        opset=artefact.OPSET,
        digest=hashlib.sha256(content).hexdigest(),
        clip=scaler.CLIP,
        bar_interval=options.bar_interval,
        dead_band=how.dead_band_bps,
        parameters=sum(p.numel() for p in network.parameters()),
        rows_train=len(parts.train),
        rows_validation=len(parts.validation),
        start=card.day(about.training_from),
        end=card.day(about.training_to),
        parity=worst,
        train_share=how.train_share,
        validation_share=how.validation_share,
        reach=max(how.horizons),
        embargo=how.embargo_bars(shape),
        seed_train=seeds[0],
        seed_fresh=seeds[-1],
    )
    options.output.with_suffix(".md").write_text(page)
    print(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
