"""The probe: a sound that code generates, and the check that a model still answers it alike.

Export stores a model's probabilities for the probe; each start recomputes them. A mismatch means
that the code or a library between bytes and probabilities has changed.
"""

import io
import wave
from typing import Final

import numpy as np

PROBE_TOLERANCE: Final = 1e-3


def probe_wav() -> bytes:
    """Return the probe as the bytes of a 16-bit stereo WAV at 44.1 kHz, 5.3 s long.

    Sweep, clicks and noise reach every band; two channels, another rate and a second, partly
    filled window put the downmix, the resampler, the padding and the weighting to use. The noise
    comes from a congruential generator written out here: NumPy's may change between releases.
    """
    rate, seconds = 44_100, 5.3
    n_samples = round(rate * seconds)
    time = np.arange(n_samples) / rate
    sweep = 0.4 * np.sin(2 * np.pi * (100 * time + 900 * time**2))
    clicks = 0.5 * np.exp(-((time % 0.25) / 0.004))
    left = sweep + 0.05 * _noise(n_samples, seed=1)
    right = clicks * _noise(n_samples, seed=2)
    pcm = np.round(32_767 * np.clip(np.stack([left, right], axis=1), -1, 1)).astype("<i2")
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(pcm.tobytes())
    return buffer.getvalue()


def _noise(n_samples: int, seed: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Uniform noise in [-1, 1]: Numerical Recipes' linear congruential generator, modulo 2^32.

    Its n-th state is an affine function of the seed, so that powers give all states at once.
    """
    multiplier, increment = np.uint32(1_664_525), np.uint32(1_013_904_223)
    powers = np.cumprod(np.full(n_samples, multiplier, dtype=np.uint32), dtype=np.uint32)
    sums = np.cumsum(np.concatenate([[np.uint32(1)], powers[:-1]]), dtype=np.uint32)
    states = powers * np.uint32(seed) + sums * increment
    return states.astype(np.float64) / 2**31 - 1
