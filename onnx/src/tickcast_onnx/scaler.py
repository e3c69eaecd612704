"""Mean and deviation per feature, from training rows alone; they become constants of the graph."""

import numpy as np

TAILS = (0.001, 0.999)
CLIP = 5.0
"""Scaled values beyond this many deviations are clipped inside the graph."""


def fit(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation (f32) of each column after its tails were pulled in, so one wild row cannot flatten the rest.
    A constant column gets deviation 1: it scales to 0 and stays silent."""
    low, high = np.quantile(features.astype(np.float64), TAILS, axis=0)
    tame = np.clip(features, low, high).astype(np.float64)
    mean, deviation = tame.mean(axis=0), tame.std(axis=0)
    constant = deviation <= 1e-6 * np.maximum(np.abs(mean), 1e-3)
    return mean.astype(np.float32), np.where(constant, 1.0, deviation).astype(np.float32)
