"""What a version's own files say of it: its labels, its age, and its answers on validation data."""

import json
import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.errors import HarkError
from app.inference.artifact import METRICS_FILE
from app.inference.store import ModelReference, ModelStore
from app.metrics.drift import Reference

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Recorded:
    """What is recorded of a version.

    Attributes:
        labels: in the model's order.
        created_at: when it was exported, in seconds of the epoch; None where nobody can tell.
        reference: its answers on validation data; None where it has none.
    """

    labels: tuple[str, ...] = ()
    created_at: float | None = None
    reference: Reference | None = None


def read_recorded(store: ModelStore, model: ModelReference) -> Recorded:
    """Read what is recorded of a version; nothing, where that cannot be read."""
    try:
        manifest = store.manifest(model)
    except (HarkError, OSError) as error:
        logger.warning("what is recorded of %s cannot be read: %s", model, error)
        return Recorded()
    labels = tuple(manifest.labels)
    try:
        created_at = datetime.fromisoformat(manifest.created_at).timestamp()
    except ValueError:
        created_at = None
    try:
        content = json.loads((store.folder(model) / METRICS_FILE).read_bytes())
        return Recorded(labels, created_at, reference_of(content, labels))
    except FileNotFoundError:
        pass
    except (LookupError, TypeError, ValueError, OSError) as error:
        logger.warning("%s of %s is no cross-validation: %r", METRICS_FILE, model, error)
    return Recorded(labels, created_at)


def reference_of(content: dict[str, Any], labels: tuple[str, ...]) -> Reference:
    """Return the answers on validation data that a cross-validation's figures tell.

    `content` is what `metrics.json` holds. The confusion matrix of all test parts says how many
    clips were taken for which label; the reliability bins, which older versions lack, how sure the
    calibrated answers were.

    Raises:
        LookupError: a figure is missing.
        TypeError: one is of another kind.
        ValueError: the figures are of other labels, or of no clip.
    """
    if tuple(content["labels"]) != labels:
        raise ValueError("its labels are not the model's")
    matrix = content["together"]["confusion_matrix"]
    by_label = tuple(sum(column) for column in zip(*matrix, strict=True))
    bins = (content.get("reliability") or {}).get("after")
    if len(by_label) != len(labels) or not sum(by_label):
        raise ValueError("its confusion matrix counts no clips of these labels")
    if not bins:
        return Reference(by_label)
    edges = tuple(float(each["up_to"]) for each in bins)
    by_bin = tuple(int(each["clips"]) for each in bins)
    if not sum(by_bin):
        raise ValueError("its reliability bins count no clips")
    return Reference(by_label, edges, by_bin)
