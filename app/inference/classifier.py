"""Classifier: bytes to a Classification, through a front end and an engine."""

from collections.abc import Sequence
from time import perf_counter
from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.audio.cutting import WHOLE, Cutting
from app.audio.frontend import FrontEnd
from app.audio.limits import DecodeLimits
from app.audio.waveform import Windows, are_silent, counted_seconds
from app.errors import CorruptArtifactError, ProbeMismatchError
from app.inference.artifact import ADVICE, Artifact, Calibration, Probe
from app.inference.averaging import averaged, tempered
from app.inference.classification import Classification, StageSeconds, Window
from app.inference.engine import Engine, EngineName, load_engine
from app.inference.probe import probe_wav
from app.inference.store import ModelReference

# Windows of a long clip become features and go through the model in batches of this many, so that a
# clip of thousands of windows needs no more memory for them than one of a few.
BATCH_WINDOWS: Final = 32


class Classifier:
    """Classifies files' bytes with one model version.

    Args:
        reference: the name and version that answers are given under.
        labels: what the model's outputs mean, in order.
        front_end: makes the features that the model was trained on.
        engine: runs the model.
        calibration: what its probabilities need so that they are as often right as they say.
    """

    def __init__(
        self,
        reference: ModelReference,
        labels: Sequence[str],
        front_end: FrontEnd,
        engine: Engine,
        calibration: Calibration | None = None,
    ) -> None:
        self.reference = reference
        self.labels = tuple(labels)
        self._front_end = front_end
        self._engine = engine
        self._temperature = calibration.temperature if calibration else 1.0
        self._uncertain_below = calibration.uncertain_below if calibration else 0.0

    @classmethod
    def load(cls, artifact: Artifact, engine: EngineName = "keras") -> "Classifier":
        """Load a version and check that it answers the probe as it did when it was exported.

        Raises:
            EngineMissingError: the engine is not installed.
            CorruptArtifactError: a file cannot be loaded, or the files do not fit each other.
            ProbeMismatchError: the answer to the probe differs.
        """
        manifest = artifact.manifest
        reference = ModelReference.of(manifest)
        spec = manifest.front_end_spec
        try:
            front_end = FrontEnd(spec, artifact.front_end_tables())
        except ValueError as error:
            raise CorruptArtifactError(f"{reference}: {error}. {ADVICE}") from error
        classifier = cls(
            reference,
            manifest.labels,
            front_end,
            load_engine(engine, artifact),
            manifest.calibration,
        )
        classifier.check_probe(manifest.probe)
        return classifier

    def classify(
        self,
        data: bytes | memoryview,
        limits: DecodeLimits | None = None,
        cutting: Cutting = WHOLE,
    ) -> Classification:
        """Classify a file's bytes.

        The windows' probabilities are averaged, each weighted by the seconds of audio in it; silent
        ones count only where all are.

        Raises:
            AudioError: the bytes cannot be used.
            InvalidParameterError: the clip cannot be cut so.
        """
        started = perf_counter()
        clip = self._front_end.windows(data, limits, cutting)
        decode_seconds = perf_counter() - started - clip.resample_seconds
        by_window, silent, feature_seconds, model_seconds = self._predict(clip.samples)
        probabilities = averaged(by_window, counted_seconds(clip.audio_seconds, silent))
        return Classification(
            model=self.reference,
            duration_seconds=clip.duration_seconds,
            truncated=clip.truncated,
            probabilities=dict(zip(self.labels, probabilities.tolist(), strict=True)),
            windows=_windows(clip, by_window, silent),
            silence=bool(silent.all()),
            uncertain_below=self._uncertain_below,
            stage_seconds=StageSeconds(
                decode_seconds, clip.resample_seconds, feature_seconds, model_seconds
            ),
            source=clip.source,
        )

    def _predict(
        self, windows: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_], float, float]:
        """Classify windows `[n, window_samples]`, batch by batch.

        Returns:
            Probabilities float32 `[n, n_labels]`; bool `[n]`, whether each is silent; and the
            seconds that features and model took.
        """
        by_batch, silent = [], []
        feature_seconds = model_seconds = 0.0
        for start in range(0, len(windows), BATCH_WINDOWS):
            batch = windows[start : start + BATCH_WINDOWS]
            began = perf_counter()
            silent.append(are_silent(batch))
            features = self._front_end.extract(batch)
            extracted = perf_counter()
            by_batch.append(tempered(self._engine.predict(features), self._temperature))
            feature_seconds += extracted - began
            model_seconds += perf_counter() - extracted
        return np.concatenate(by_batch), np.concatenate(silent), feature_seconds, model_seconds

    def check_probe(self, probe: Probe) -> None:
        """Compare the answer to the probe with the one that was recorded at export.

        Raises:
            CorruptArtifactError: the model has another number of outputs than there are labels.
            ProbeMismatchError: a probability differs by more than the tolerance.
        """
        try:
            answer = self.classify(probe_wav())
        except ValueError as error:  # zip, where outputs and labels differ in number
            raise CorruptArtifactError(
                f"{self.reference}: the model's outputs do not match its {len(self.labels)} "
                f"labels. {ADVICE}"
            ) from error
        if len(probe.probabilities) != len(answer.probabilities):
            raise CorruptArtifactError(
                f"{self.reference}: the probe has {len(probe.probabilities)} probabilities for "
                f"{len(answer.probabilities)} labels. {ADVICE}"
            )
        difference = np.abs(np.subtract(list(answer.probabilities.values()), probe.probabilities))
        # Written so that NaN fails too.
        if not difference.max() <= probe.tolerance:
            raise ProbeMismatchError(
                f"{self.reference}: the model answers the probe differently than when it was "
                f"exported (by {difference.max():.2g}, {probe.tolerance:g} allowed). The code or "
                "a library on the way from bytes to probabilities has changed: serve the version "
                "with the releases in its manifest, or train a new one."
            )


def _windows(
    clip: Windows, by_window: NDArray[np.float32], silent: NDArray[np.bool_]
) -> tuple[Window, ...]:
    ends = clip.start_seconds + clip.audio_seconds
    columns = (clip.start_seconds, ends, by_window, silent)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return tuple(Window(start, end, tuple(row), silence) for start, end, row, silence in rows)
