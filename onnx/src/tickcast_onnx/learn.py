"""The loop: AdamW, a running average of the weights, early stop and temperature on validation log-loss. Seeded, and the same
on every run of one machine."""

import math
from dataclasses import replace

import numpy as np
import torch
from torch.nn import functional

from . import scaler
from . import split as splits
from . import table as tables
from .network import PatchTransformer
from .settings import Shape, Training

TEMPERATURES = np.exp(np.linspace(math.log(0.5), math.log(4.0), 121))


class Windows:
    """Sequences of a table by the row they end on: `batch(rows)` gathers [n, sequence, feature] without a copy of the rest."""

    def __init__(self, table: tables.Table, sequence: int, dead_band_bps: float):
        view = np.lib.stride_tricks.sliding_window_view(table.features, sequence, axis=0)
        self.view, self.sequence = view.transpose(0, 2, 1), sequence
        self.labels = tables.classes(table.returns, dead_band_bps)

    def batch(self, rows) -> np.ndarray:
        return np.ascontiguousarray(self.view[rows - (self.sequence - 1)])


def log_loss(logits, labels):
    """Cross entropy, the mean over known labels of all horizons."""
    return functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=-1)


@torch.no_grad()
def logits_of(network, windows: Windows, rows, batch=2048) -> torch.Tensor:
    """Logits of the network in evaluation, for many rows."""
    network.eval()
    return torch.cat(
        [network.logits(torch.from_numpy(windows.batch(part))) for part in np.array_split(rows, max(1, math.ceil(len(rows) / batch)))]
    )


def temperatures(logits, labels) -> torch.Tensor:
    """Per horizon the temperature of least log-loss, from a fixed grid between one half and four."""
    best = []
    for h in range(logits.shape[1]):
        losses = [log_loss(logits[:, h : h + 1] / float(t), labels[:, h : h + 1]).item() for t in TEMPERATURES]
        best.append(TEMPERATURES[int(np.argmin(losses))])
    return torch.tensor(best, dtype=torch.float32)


def train(table: tables.Table, shape: Shape, how: Training, say=print) -> tuple[PatchTransformer, splits.Split]:
    """Trains on the table's first part, stops on its second, never looks at its third. Returns the network (weights averaged,
    temperature set) and the split it used."""
    shape = replace(shape, features=len(table.names), horizons=len(table.horizons))
    torch.manual_seed(how.seed)
    torch.set_num_threads(how.threads)
    torch.use_deterministic_algorithms(True)
    generator = np.random.default_rng(how.seed)
    parts = splits.chronological(
        tables.ends(table, shape.sequence),
        table.close_time,
        table.interval,
        table.horizons,
        how.embargo_bars(shape),
        how.train_share,
        how.validation_share,
    )
    mean, deviation = scaler.fit(table.features[seen_rows(parts.train, shape.sequence)])
    network = PatchTransformer(shape, mean, deviation)
    average = PatchTransformer(shape, mean, deviation)
    average.load_state_dict(network.state_dict())
    windows = Windows(table, shape.sequence, how.dead_band_bps)
    labels = torch.from_numpy(windows.labels)
    steps = math.ceil(len(parts.train) / how.batch)
    optimiser = torch.optim.AdamW(network.parameters(), lr=how.learning_rate, weight_decay=how.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, how.learning_rate, total_steps=steps * how.epochs, pct_start=0.1)
    best, best_loss, waited = None, math.inf, 0
    for epoch in range(how.epochs):
        order, total = generator.permutation(parts.train), 0.0
        for step in range(steps):
            rows = order[step * how.batch : (step + 1) * how.batch]
            network.train()
            loss = log_loss(network.logits(torch.from_numpy(windows.batch(rows))), labels[rows])
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            follow(average, network, min(how.averaging, (1 + epoch * steps + step) / (10 + epoch * steps + step)))
            total += loss.item()
        held = log_loss(logits_of(average, windows, parts.validation), labels[parts.validation]).item()
        say(f"epoch {epoch + 1}: log-loss {total / steps:.5f} training, {held:.5f} validation")
        waited += 1
        if held < best_loss:
            best, best_loss, waited = {k: v.clone() for k, v in average.state_dict().items()}, held, 0
        if waited >= how.patience:
            break
    average.load_state_dict(best)
    average.temperature.copy_(temperatures(logits_of(average, windows, parts.validation), labels[parts.validation]))
    return average.eval(), parts


@torch.no_grad()
def follow(average, network, decay):
    """Moves the average of the weights a little towards the network's."""
    for kept, new in zip(average.parameters(), network.parameters(), strict=True):
        kept.lerp_(new, 1.0 - decay)


def seen_rows(ends, sequence) -> np.ndarray:
    """Every row that an input ending on one of `ends` holds."""
    mark = np.zeros(int(ends.max()) + 1, bool)
    for back in range(sequence):
        mark[ends - back] = True
    return np.flatnonzero(mark)
