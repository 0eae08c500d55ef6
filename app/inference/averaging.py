"""From a model's outputs to a clip's answer: each window's probabilities tempered, then averaged.

Apart from `Classifier`, so that training fits a temperature on the very answers that are served.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

# A probability of 0 has no logarithm; this is the smallest that float32 tells from it.
_LEAST_PROBABILITY: Final = np.finfo(np.float32).tiny


def tempered(probabilities: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """Divide the logits behind probabilities `[n, n_labels]` by a temperature.

    Source: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017. The softmax is undone
    by a logarithm, which leaves logits up to a constant that the next softmax does not see.
    """
    if temperature == 1:
        return probabilities
    logits = np.log(np.maximum(probabilities, _LEAST_PROBABILITY)) / np.float32(temperature)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    tempered: NDArray[np.float32] = powers / powers.sum(axis=1, keepdims=True)
    return tempered


def averaged(
    by_window: NDArray[np.float32], audio_seconds: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Average probabilities `[n_windows, n_labels]` to `[n_labels]`, summing to 1 exactly.

    Each window counts by the seconds of audio in it, `[n_windows]`, of which only ratios matter.
    """
    weighted = audio_seconds.astype(np.float64) @ by_window
    probabilities: NDArray[np.float64] = weighted / weighted.sum()
    return probabilities
