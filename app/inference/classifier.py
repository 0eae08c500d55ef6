"""Classifier: bytes to a Classification, through a front end and an engine."""

from collections.abc import Sequence
from time import perf_counter
from typing import Final

import numpy as np
from numpy.typing import NDArray

from app.audio.frontend import FrontEnd
from app.audio.limits import DecodeLimits
from app.errors import CorruptArtifactError, ProbeMismatchError
from app.inference.artifact import ADVICE, Artifact, Probe
from app.inference.classification import Classification, StageSeconds
from app.inference.engine import Engine, EngineName, load_engine
from app.inference.probe import probe_wav
from app.inference.store import ModelReference

# Windows of a long clip go through the model in batches of this many, so that a ten-minute clip
# needs no more memory for activations than a two-minute one.
BATCH_WINDOWS: Final = 32


class Classifier:
    """Classifies files' bytes with one model version.

    Args:
        reference: the name and version that answers are given under.
        labels: what the model's outputs mean, in order.
        front_end: makes the features that the model was trained on.
        engine: runs the model.
    """

    def __init__(
        self,
        reference: ModelReference,
        labels: Sequence[str],
        front_end: FrontEnd,
        engine: Engine,
    ) -> None:
        self.reference = reference
        self.labels = tuple(labels)
        self._front_end = front_end
        self._engine = engine

    @classmethod
    def load(cls, artifact: Artifact, engine: EngineName = "keras") -> "Classifier":
        """Load a version and check that it answers the probe as it did when it was exported.

        Raises:
            EngineMissingError: the engine is not installed.
            CorruptArtifactError: a file cannot be loaded, or the files do not fit each other.
            ProbeMismatchError: the answer to the probe differs.
        """
        manifest = artifact.manifest
        reference = ModelReference(manifest.name, manifest.version)
        spec = manifest.front_end_spec
        try:
            front_end = FrontEnd(spec, artifact.front_end_tables())
        except ValueError as error:
            raise CorruptArtifactError(f"{reference}: {error}. {ADVICE}") from error
        classifier = cls(reference, manifest.labels, front_end, load_engine(engine, artifact))
        classifier.check_probe(manifest.probe)
        return classifier

    def classify(
        self, data: bytes | memoryview, limits: DecodeLimits | None = None
    ) -> Classification:
        """Classify a file's bytes.

        The windows' probabilities are averaged, each weighted by the seconds of audio in it.

        Raises:
            AudioError: the bytes cannot be used.
        """
        clip = self._front_end.features(data, limits)
        started = perf_counter()
        by_window = np.concatenate(
            [
                self._engine.predict(clip.features[start : start + BATCH_WINDOWS])
                for start in range(0, len(clip.features), BATCH_WINDOWS)
            ]
        )
        probabilities = _average(by_window, clip.audio_seconds)
        return Classification(
            model=self.reference,
            duration_seconds=clip.duration_seconds,
            truncated=clip.truncated,
            probabilities=dict(zip(self.labels, probabilities.tolist(), strict=True)),
            stage_seconds=StageSeconds(
                decode=clip.decode_seconds,
                features=clip.feature_seconds,
                model=perf_counter() - started,
            ),
        )

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


def _average(
    by_window: NDArray[np.float32], audio_seconds: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Average probabilities `[n_windows, n_labels]` to `[n_labels]`, summing to 1 exactly."""
    weighted = audio_seconds @ by_window
    probabilities: NDArray[np.float64] = weighted / weighted.sum()
    return probabilities
