"""What a table is asked to hold: the answers of one version, asked in one way."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import urlencode

from app.audio.cutting import Cutting
from app.inference.artifact import Manifest
from app.inference.events import DEFAULT_THRESHOLD
from app.inference.labels import check_labels
from app.inference.store import ModelReference

RowKind = Literal["files", "windows", "events"]

_TIMES: Final = ("start_seconds", "end_seconds")
_COLUMNS: Final[dict[RowKind, tuple[str, ...]]] = {
    "files": ("label", "probability", "uncertain", "silence"),
    "windows": (*_TIMES, "label", "probability", "silence"),
    "events": (*_TIMES, "label", "probability"),
}


@dataclass(frozen=True)
class Asked:
    """What a table holds: the answers of one version, asked in one way.

    Attributes:
        model: the version.
        labels: those that are told of, in the model's order.
        every_label: whether these are all that the model knows.
        kind: what has a row.
        cutting: which part of each clip, and how it is cut.
        threshold: how probable a label is at least in each window of an event.
    """

    model: ModelReference
    labels: tuple[str, ...]
    every_label: bool
    kind: RowKind
    cutting: Cutting
    threshold: float

    @classmethod
    def of(
        cls,
        manifest: Manifest,
        labels: Sequence[str],
        kind: RowKind,
        cutting: Cutting,
        threshold: float | None,
    ) -> "Asked":
        """Ask a version, whose manifest says what can be asked for.

        Args:
            manifest: the version's.
            labels: those to tell of; none stands for all.
            kind: what has a row.
            cutting: which part of each clip, and how it is cut.
            threshold: None stands for what the API takes.

        Raises:
            InvalidParameterError: the version has no such label, or cannot cut clips so.
        """
        spec = manifest.front_end_spec
        cutting.hop_samples(spec.window_samples, spec.sample_rate_hz)
        return cls(
            model=ModelReference.of(manifest),
            labels=labels_asked_for(manifest, labels),
            every_label=not labels,
            kind=kind,
            cutting=cutting,
            threshold=DEFAULT_THRESHOLD if threshold is None else threshold,
        )

    @property
    def options(self) -> str:
        """What was asked for otherwise than by default, as in a URL."""
        cutting = self.cutting
        chosen = {
            "labels": None if self.every_label else ",".join(self.labels),
            "hop_seconds": cutting.hop_seconds,
            "start_seconds": cutting.start_seconds or None,
            "end_seconds": cutting.end_seconds,
            "threshold": self.threshold if self.kind == "events" else None,
        }
        told = {name: value for name, value in chosen.items() if value is not None}
        return urlencode(told, safe=",")

    @property
    def has_probabilities(self) -> bool:
        """Whether a row tells of every label, and not of one only."""
        return self.kind != "events"

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns, in their order."""
        return (
            "path",
            *_COLUMNS[self.kind],
            "truncated",
            "duration_seconds",
            "model",
            "version",
            "options",
            *(("probabilities",) if self.has_probabilities else ()),
            *(("rows_of_file",) if self.kind != "files" else ()),
            "code",
            "error",
        )


def labels_asked_for(manifest: Manifest, labels: Sequence[str]) -> tuple[str, ...]:
    """Return labels in the version's own order; none stands for all.

    Raises:
        InvalidParameterError: one is none of the version's.
    """
    check_labels(ModelReference.of(manifest), manifest.labels, labels)
    return tuple(label for label in manifest.labels if not labels or label in labels)
