"""Log-mel spectrograms: mel bands in decibels, with their deltas as further channels.

The numbers of librosa's `melspectrogram`, `power_to_db` and `delta`. Source of deltas: Furui,
"Speaker-Independent Isolated Word Recognition Using Dynamic Features of Speech Spectrum", IEEE
TASSP 34 (1), 1986; as local polynomials, in librosa's way.
"""

import numpy as np
from numpy.typing import NDArray

from app.audio.feature_specs import LogMelSpec
from app.audio.features.extractor import WindowByWindow
from app.audio.features.mel import MelDecibels
from app.audio.features.tables import Tables


class LogMelExtractor(WindowByWindow):
    """Computes log-mel spectrograms of windows.

    Args:
        spec: what to compute.
        tables: what `mel.make_tables` returned for this spec.
        window_samples: how long a window is.

    Raises:
        ValueError: a table is missing, or is of another shape than the spec's.
    """

    def __init__(self, spec: LogMelSpec, tables: Tables, window_samples: int) -> None:
        super().__init__(spec.shape(window_samples))
        self._spec = spec
        self._mel_decibels = MelDecibels(spec, tables)

    def _fill(self, features: NDArray[np.float32], window: NDArray[np.float32]) -> None:
        """Write `[n_mels, n_frames, 1 + deltas]`."""
        bands = self._mel_decibels(window)
        features[..., 0] = bands
        for order in range(1, self._spec.deltas + 1):
            features[..., order] = _delta(bands, self._spec.delta_frames, order)


def _delta(bands: NDArray[np.float32], n_frames: int, order: int) -> NDArray[np.float32]:
    """Map `[n_mels, n_frames]` to the change of that order a frame, of the same shape."""
    from scipy.signal import savgol_filter  # 0.7 s of a process's start; most models need no deltas

    change: NDArray[np.float32] = savgol_filter(
        bands, n_frames, polyorder=order, deriv=order, axis=1, mode="interp"
    )
    return change
