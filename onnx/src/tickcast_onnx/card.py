"""The model's page: what it is, what it was trained on, how right it is where, and how to make it again."""

from datetime import UTC, datetime

TEXT = """# {name} {version}

tickcast's reference model: a patch transformer that scores the next {horizons} bars as down, flat or up from {count} features
of the last {sequence} windows (`onnx/features/reference.sql`). It is committed so that tickcast predicts from the first minute, and
it knows **one thing only: the market that tickcast generates itself.** On a real market it has nothing to say; bring your own
model there.

| | |
|---|---|
| parameters, file | {parameters:,}, {size:,} bytes, ONNX opset {opset}, sha256 `{digest}` |
| input | `features` f32 [batch, {sequence}, {count}], raw: the scaler (clip at {clip:g} deviations) is inside |
| output | `probabilities` f32 [batch, {outputs}, 3] = down, flat, up |
| bar interval, horizons, dead band | {bar_interval}; {horizons} bars; {dead_band:g} bps |
| data | {rows_train:,} windows to train, {rows_validation:,} to validate, {start} to {end} of the market's own time |
| ONNX Runtime against PyTorch | largest difference {parity:.1e} |

## How right it is

Trained on generated bars `r_t = u_t + R k 2 tanh(x_(t-1) / 2)` with R = +1, k = 0.2 (u standard normal, x the 20-span EMA of r over
1/sqrt(20), log return 8e-4 r). Split by time: {train_share:.0%} training, {validation_share:.0%} validation (early stop, temperature),
the rest never looked at; purge of {reach} bars, embargo of {embargo} bars (all that an input looks back on), scaler from training rows
alone. *Optimum* is the hit rate of the best possible direction, the sign of x, **on the same rows**. *Margin* is the half-width of a
95% interval that counts only cohorts which do not overlap. The baselines stand as hit rate / log-loss.

{tables}
{verdict}

The rule's drift is at most 2k = 0.4 deviations a bar, so one bar ahead no model of this market can pass 65.5%, and the optimum of this
reading is 58.1% over the long run, 65.1% five bars ahead and 67.9% fifteen bars ahead (12 million simulated rows). The optimum of 67.3%
that was first named for R = +1 is near what the rule gives ten to fifteen bars ahead; it cannot be one bar ahead.

## To make it again

    make -C onnx reference

runs `tickcast dataset` twice (seed {seed_train} to train, seed {seed_fresh} for the fresh market) and trains on the CPU; what it does
is in `onnx/train`. Seeds are fixed: the same machine and lock file give the same weights, another kind of processor may round differently.
It takes about a minute of one core.
"""

COLUMNS = ("horizon", "rows", "cohorts", "hit", "margin", "optimum", "log-loss", "Brier", "majority", "persistence", "reversal")
HEAD = "| " + " | ".join(COLUMNS) + " |\n" + "|---" * len(COLUMNS) + "|\n"


def figures(title: str, horizons: dict) -> str:
    """One table: the model, the optimum and the baselines (hit / log-loss) on the same rows."""
    lines = []
    for horizon, f in horizons.items():
        rules = " | ".join(
            f"{100 * f['baselines'][r]['hit']:.2f}% / {f['baselines'][r]['log_loss']:.4f}" for r in ("majority", "persistence", "reversal")
        )
        lines.append(
            f"| {horizon} | {f['n']:,} | {f['cohorts']:,} | **{100 * f['hit']:.2f}%** | {100 * f['hit_margin']:.2f} | "
            f"{100 * f['optimum_hit']:.2f}% | {f['log_loss']:.4f} | {f['brier']:.4f} | {rules} |"
        )
    return f"### {title}\n\n{HEAD}" + "\n".join(lines) + "\n"


def shortfall(horizons: dict) -> float:
    """Points by which the model misses the optimum one bar ahead, on the same rows."""
    first = next(iter(horizons.values()))
    return 100.0 * (first["optimum_hit"] - first["hit"])


def day(microseconds: int) -> str:
    """A moment in UTC, to the minute."""
    return datetime.fromtimestamp(microseconds / 1e6, UTC).strftime("%Y-%m-%d %H:%M")


def page(acceptance: dict, **facts) -> str:
    """The page as Markdown."""
    tables = figures("Unseen days of the training market", acceptance["horizons"])
    verdict = f"One bar ahead it is {shortfall(acceptance['horizons']):.2f} points below the optimum on unseen days"
    if "fresh" in acceptance:
        tables += "\n" + figures("A fresh market (another seed)", acceptance["fresh"]["horizons"])
        verdict += f", {shortfall(acceptance['fresh']['horizons']):.2f} on a fresh market"
    return TEXT.format(tables=tables, verdict=verdict + " (accepted up to 3).", **facts)
