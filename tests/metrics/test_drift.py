"""Drift: SciPy's distance, of the last answers alone, from what the version's files record."""

import json
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.distance import jensenshannon

from app.inference.store import ModelReference, ModelStore
from app.metrics.drift import DriftWindow, Reference, jensen_shannon_distance
from app.metrics.recorded import read_recorded, reference_of
from app.settings import DEFAULT_MODEL_STORE
from tests.tiny_model import rehash
from tests.two_versions import NAME, TwoVersions
from training.calibration import N_BINS, reliability_bins

LABELS: Final = ("clicks", "noise", "tone")
MATRIX: Final = [[3, 1, 0], [0, 4, 0], [2, 0, 2]]


def scipy_distance(counts: Any, others: Any) -> float:
    return float(jensenshannon(counts, others, base=2))


@pytest.mark.parametrize("seed", range(20))
def test_the_distance_is_scipys(seed: int) -> None:
    rng = np.random.default_rng(seed)
    size = rng.integers(2, 50)
    # Many zeros: a label that nobody heard.
    counts, others = (rng.integers(0, 6, size) * rng.integers(0, 2, size) for _ in range(2))
    counts[0], others[-1] = 1, 1
    found = jensen_shannon_distance(counts.tolist(), others.tolist())
    assert found == pytest.approx(scipy_distance(counts, others), abs=1e-9)
    assert 0 <= found <= 1


def test_the_distance_of_like_is_nothing_and_of_strangers_everything() -> None:
    assert jensen_shannon_distance([1, 2, 3], [10, 20, 30]) == pytest.approx(0, abs=1e-7)
    assert jensen_shannon_distance([1, 0], [0, 7]) == 1


@pytest.mark.parametrize(
    ("counts", "others"), [([0, 0], [1, 1]), ([1, 1], [0, 0]), ([1], [1, 1])],
    ids=["nothing", "no-reference", "other-sizes"],
)  # fmt: skip
def test_there_is_no_distance_of_nothing(counts: list[int], others: list[int]) -> None:
    with pytest.raises(ValueError, match=r"nothing|zip"):
        jensen_shannon_distance(counts, others)


def as_recorded(confidence: NDArray[np.float64]) -> dict[str, Any]:
    """What training writes of answers, all of which are right."""
    bins = reliability_bins(confidence, np.ones(len(confidence), dtype=bool))
    return {
        "labels": list(LABELS),
        "together": {"confusion_matrix": MATRIX},
        "reliability": {"after": [each.model_dump() for each in bins]},
    }


def test_only_the_last_answers_count() -> None:
    rng = np.random.default_rng(0)
    labels, confidence = rng.integers(0, 3, 500), rng.uniform(0.2, 1, 500)
    reference = reference_of(as_recorded(rng.uniform(0.5, 1, 200)), LABELS)
    window = DriftWindow(reference, 100)
    assert window.distances() == {}
    for label, probability in zip(labels, confidence, strict=True):
        window.add(int(label), float(probability))
    assert window.n_clips == 100
    assert window.distances() == pytest.approx(
        {
            "labels": scipy_distance(np.bincount(labels[-100:], minlength=3), [5, 5, 2]),
            "top_probability": scipy_distance(
                np.histogram(confidence[-100:], bins=N_BINS, range=(0, 1))[0],
                reference.clips_by_bin,
            ),
        }
    )


def test_training_and_serving_put_a_probability_into_the_same_bin() -> None:
    edges = np.arange(1, N_BINS + 1) / N_BINS
    confidence = np.concatenate([edges, np.nextafter(edges[:-1], 1), np.linspace(0.1, 1, 50)])
    window = DriftWindow(reference_of(as_recorded(confidence), LABELS), len(confidence))
    for probability in confidence:
        window.add(0, float(probability))
    assert window.distances()["top_probability"] == pytest.approx(0, abs=1e-7)


def test_what_rounding_leaves_above_1_lies_in_the_last_bin() -> None:
    window = DriftWindow(Reference((1, 1), (0.5, 1.0), (0, 3)), 10)
    window.add(0, 1 + 1e-9)
    assert window.distances()["top_probability"] == 0


def test_the_shipped_versions_have_labels_and_bins() -> None:
    for name, n_clips in (("urbansound", 2_148), ("esc10", 320)):
        recorded = read_recorded(ModelStore(DEFAULT_MODEL_STORE), ModelReference(name, 1))
        folder = DEFAULT_MODEL_STORE / name / "1"
        matrix = json.loads((folder / "metrics.json").read_bytes())["together"]["confusion_matrix"]
        assert recorded.reference is not None
        assert recorded.reference.clips_by_label == tuple(np.sum(matrix, axis=0))
        assert sum(recorded.reference.clips_by_label) == n_clips
        window = DriftWindow(recorded.reference, 10)
        window.add(0, 0.5)
        assert set(window.distances()) == {"labels", "top_probability"}


@pytest.mark.parametrize(
    "changed",
    [
        {"labels": ["noise", "clicks", "tone"]},
        {"together": {}},
        {"together": {"confusion_matrix": [[0, 0, 0]] * 3}},
        {"together": {"confusion_matrix": [[1, 0], [0, 1]]}},
        {"together": {"confusion_matrix": [[1, 0, 0], [1, 0]]}},
        {"reliability": {"after": [{"above": 0, "up_to": 1}]}},
        {"reliability": {"after": [{"above": 0, "up_to": 1, "clips": 0}]}},
        {"reliability": []},
    ],
    ids=[
        *("other-order", "no-matrix", "no-clips", "two-labels", "ragged", "no-counts"),
        *("empty-bins", "no-bins"),
    ],
)
def test_figures_that_are_none_are_no_reference(changed: dict[str, Any]) -> None:
    content = {**as_recorded(np.array([0.5])), **changed}
    if changed == {"reliability": []}:
        assert reference_of(content, LABELS).clips_by_bin is None
    else:
        with pytest.raises((LookupError, TypeError, ValueError)):
            reference_of(content, LABELS)


@pytest.mark.parametrize(
    ("content", "told"),
    [(None, False), ("{", True), ("[]", True), ('{"labels": 1}', True)],
    ids=["no-file", "broken", "a-list", "other-kinds"],
)
def test_a_version_without_figures_serves_and_has_no_reference(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: str | None, told: bool
) -> None:
    version = TwoVersions(tmp_path).add(2)
    (version / "metrics.json").unlink()
    if content is not None:
        (version / "metrics.json").write_text(content)
    rehash(version)
    recorded = read_recorded(ModelStore(tmp_path), ModelReference(NAME, 2))
    assert recorded.reference is None
    assert len(recorded.labels) == 10
    assert recorded.created_at is not None
    assert ("is no cross-validation" in caplog.text) == told


def test_a_version_that_is_not_there_has_nothing(tmp_path: Path) -> None:
    recorded = read_recorded(ModelStore(tmp_path), ModelReference(NAME, 9))
    assert (recorded.labels, recorded.reference) == ((), None)
