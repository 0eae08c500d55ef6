"""The same model in BentoML.

BENCHMARK_WORKERS=2 bentoml serve benchmarks.services.bentoml_service:SoundService
"""

import os
from pathlib import Path

import bentoml

from benchmarks.services.plain_classifier import PlainClassifier


@bentoml.service(workers=int(os.environ.get("BENCHMARK_WORKERS", "2")), traffic={"timeout": 120})
class SoundService:
    """Classifies the part `file` of a multipart request."""

    def __init__(self) -> None:
        self._classifier = PlainClassifier()

    @bentoml.api  # type: ignore[untyped-decorator]
    def predict(self, file: Path) -> dict[str, float]:
        """Say what a sound is."""
        return self._classifier.classify(file.read_bytes())
