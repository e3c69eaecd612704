"""What can be chosen: the shape of the network and how it is trained. Defaults are the reference model's."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Shape:
    """The network: a row of `features` per bar, `sequence` bars, cut into patches of `patch` bars."""

    features: int = 16
    sequence: int = 64
    patch: int = 8
    width: int = 64
    depth: int = 2
    heads: int = 4
    hidden: int = 128
    horizons: int = 3
    dropout: float = 0.2

    def __post_init__(self):
        if self.sequence % self.patch:
            raise ValueError(
                f"a sequence of {self.sequence} bars cannot be cut into patches of {self.patch}: choose a patch that divides it"
            )
        if self.width % self.heads:
            raise ValueError(f"a width of {self.width} cannot be shared by {self.heads} heads: choose a divisor")


@dataclass(frozen=True)
class Training:
    """The loop. Lengths of time are in bars; shares are of the table's span of time."""

    horizons: tuple[int, ...] = (1, 5, 15)
    window: int = 256
    dead_band_bps: float = 0.0
    train_share: float = 0.7
    validation_share: float = 0.15
    embargo: int | None = None
    """Bars left out before validation and test; by default all that an input looks back on (window + sequence - 1)."""
    epochs: int = 3
    patience: int = 2
    batch: int = 512
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    averaging: float = 0.998
    """Decay of the running average of the weights: it is the average that is validated and exported."""
    seed: int = 7
    threads: int = 1

    def embargo_bars(self, shape: Shape) -> int:
        """Bars that are left out between one part's last row and the next part's first."""
        return self.window + shape.sequence - 1 if self.embargo is None else self.embargo
