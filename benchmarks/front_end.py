"""The front end alone: Hark's beside librosa's own calls, in turn, in one process."""

import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any, Final

from app.inference.memory import keep_freed_memory
from app.inference.threads import compute_on_one_thread

ROUNDS: Final = 10
CALLS: Final = 20


def front_end_milliseconds(version: Path, wav: bytes) -> dict[str, float]:
    """Time the road from decoded samples to MFCCs, in a process of its own.

    Args:
        version: a model version, for its front end.
        wav: a clip of one window.

    Returns:
        Medians in milliseconds: `hark` and `librosa`, from decoded samples; `hark_from_bytes` and
        `librosa_from_bytes`, the decoder included.
    """
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as executor:
        return executor.submit(_measure, version, wav).result()


def _measure(version: Path, wav: bytes) -> dict[str, float]:
    compute_on_one_thread()
    keep_freed_memory()
    import io

    import librosa
    import numpy as np
    import soundfile

    from app.audio.feature_specs import MfccSpec
    from app.audio.features import make_extractor
    from app.audio.frontend import FrontEnd
    from app.audio.reader import BLOCK_FRAMES, AudioReader
    from app.audio.waveform import canonical_waveform, cut_windows
    from app.inference.artifact import Artifact

    artifact = Artifact.open(version)
    spec, tables = artifact.manifest.front_end_spec, artifact.front_end_tables()
    front_end, extract = FrontEnd(spec, tables), make_extractor(spec, tables)
    stereo, rate = soundfile.read(io.BytesIO(wav), dtype="float32", always_2d=True)

    class Decoded:
        """What an AudioReader gives, without the decoder."""

        sample_rate_hz, holds_integers = rate, True

        def blocks(self) -> Any:
            for start in range(0, len(stereo), BLOCK_FRAMES):
                yield stereo[start : start + BLOCK_FRAMES]

    def hark() -> Any:
        reader: AudioReader = Decoded()  # type: ignore[assignment]
        return extract(cut_windows(canonical_waveform(reader, spec), spec).samples)

    def librosas(samples: Any) -> Any:
        features = spec.features
        assert isinstance(features, MfccSpec)
        return librosa.feature.mfcc(
            y=np.resize(samples, spec.window_samples), sr=spec.sample_rate_hz,
            n_mfcc=features.n_mfcc, n_fft=features.n_fft, hop_length=features.hop_length,
            n_mels=features.n_mels, fmin=features.mel_min_hz, fmax=features.mel_max_hz,
        )  # fmt: skip

    def librosa_decoded() -> Any:
        mono = librosa.to_mono(stereo.T)
        return librosas(librosa.resample(mono, orig_sr=rate, target_sr=spec.sample_rate_hz))

    np.testing.assert_allclose(hark()[0, ..., 0], librosa_decoded(), atol=1e-2)
    return _medians(
        hark=hark,
        librosa=librosa_decoded,
        hark_from_bytes=lambda: front_end.features(wav),
        librosa_from_bytes=lambda: librosas(
            librosa.load(io.BytesIO(wav), sr=spec.sample_rate_hz)[0]
        ),
    )


def _medians(**functions: Callable[[], Any]) -> dict[str, float]:
    """Call the functions in turn, some times each, so that a machine's drift meets all alike."""
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(ROUNDS):
        for name, function in functions.items():
            for _ in range(CALLS):
                started = time.perf_counter()
                function()
                seconds[name].append(time.perf_counter() - started)
    return {name: median(values) * 1e3 for name, values in seconds.items()}
