"""The generated market's known optimum. Knows the rule that `tickcast` generates by, and nothing of the model.

    x = e * sqrt(20)                     e: EMA (alpha 2/21) of r; 1/sqrt(20) is its deviation for independent unit normals
    r = u + R k 2 tanh(x / 2)            u standard normal, x from before this bar
    log return = 8e-4 r

The drift has the sign of R x, so that sign is the best direction for any horizon.
"""

import numpy as np

SPAN = 20
UNIT = 8e-4


def state(symbol: np.ndarray, close: np.ndarray) -> np.ndarray:
    """x after each row's bar, from the closes of the same symbol so far. It starts at 0 with a symbol's first row; after n
    bars the unknown start weighs (19/21)^n."""
    alpha = 2.0 / (SPAN + 1)
    x, average = np.zeros(len(close)), 0.0
    log = np.log(close)
    for row in range(1, len(close)):
        if symbol[row] != symbol[row - 1]:
            average = 0.0
        else:
            average += alpha * ((log[row] - log[row - 1]) / UNIT - average)
        x[row] = average * np.sqrt(SPAN)
    return x


def best_direction(symbol, close, regime: float = 1.0) -> np.ndarray:
    """Sign of the best possible direction for the bars after each row; `regime` is R."""
    return np.sign(regime * state(symbol, close))
