"""Evaluation: scikit-learn's figures, over the same road that serves."""

import json
import math
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    f1_score,
    precision_score,
    recall_score,
)

from app.audio.frontend import FrontEnd
from app.errors import CorruptArtifactError, UnknownModelError, UnknownVersionError
from app.inference.artifact import Calibration
from app.inference.classifier import Classifier
from app.inference.engine import load_engine
from app.progress import silent
from tests.tiny_model import LABELS, NAME, TinyModel, rehash, sound, wav
from training.datasets import Clip, Dataset, DatasetError, Salience, load_dataset
from training.evaluate import (
    Metrics,
    Predictions,
    SalienceMetrics,
    measure,
    pool_predictions,
    predict,
)
from training.recipe_error import RecipeError
from training.runs import Evaluation, evaluate_version

ALL_LABELS = ("birds", "cars", "dogs", "frogs")


def measured(
    truth: Sequence[int], predicted: Sequence[int], salience: Sequence[Salience | None] = ()
) -> Metrics:
    n = len(truth)
    clips = tuple(
        Clip(Path(f"{place}.wav"), ALL_LABELS[label], salience=where)
        for place, (label, where) in enumerate(zip(truth, salience or [None] * n, strict=True))
    )
    predictions = Predictions(
        clips=clips,
        truth=np.array(truth),
        predicted=np.array(predicted),
        confidence=np.ones(n),
        probabilities=np.eye(len(ALL_LABELS))[list(predicted)],
        uncertain=np.zeros(n, dtype=np.bool),
    )
    return measure(predictions, ALL_LABELS)


def test_foreground_and_background_are_counted_apart() -> None:
    """A clip of which nobody said it counts in neither."""
    front: Salience = "foreground"
    back: Salience = "background"
    metrics = measured([0, 0, 1, 1, 2], [0, 1, 1, 1, 0], [front, back, front, back, None])
    assert metrics.accuracy == 3 / 5
    assert metrics.by_salience == {
        "foreground": SalienceMetrics(accuracy=1.0, clips=2),
        "background": SalienceMetrics(accuracy=0.5, clips=2),
    }
    assert measured([0, 1], [0, 1], [None, back]).by_salience == {
        "background": SalienceMetrics(accuracy=1.0, clips=1)
    }
    assert measured([0, 1], [0, 1]).by_salience == {}


def test_a_case_counted_by_hand() -> None:
    """No clip is of frogs, and none is taken for them."""
    metrics = measured([0, 0, 0, 0, 1, 1, 2, 2], [0, 0, 0, 1, 1, 0, 2, 1])
    assert metrics.clips == 8
    assert metrics.accuracy == 5 / 8
    assert metrics.confusion_matrix == [[3, 1, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]]
    birds, cars, dogs, frogs = metrics.by_label.values()
    assert (birds.precision, birds.recall, birds.f1, birds.clips) == (3 / 4, 3 / 4, 3 / 4, 4)
    assert (cars.precision, cars.recall, cars.clips) == (1 / 3, 1 / 2, 2)
    assert cars.f1 == pytest.approx(2 / 5)
    assert (dogs.precision, dogs.recall, dogs.clips) == (1, 1 / 2, 2)
    assert dogs.f1 == pytest.approx(2 / 3)
    assert (frogs.precision, frogs.recall, frogs.f1, frogs.clips) == (0, 0, 0, 0)
    assert metrics.macro_f1 == pytest.approx((3 / 4 + 2 / 5 + 2 / 3) / 3)


CASES = {
    "a label without a clip": ([0, 0, 1, 1, 2], [0, 1, 1, 1, 0]),
    "a label without a clip, taken for one": ([0, 0, 1, 1, 2], [3, 0, 1, 3, 2]),
    "all right": ([0, 1, 2, 3], [0, 1, 2, 3]),
    "all wrong": ([0, 1, 2, 3], [1, 2, 3, 0]),
    "one clip": ([2], [2]),
    "many": tuple(np.random.default_rng(0).integers(4, size=(2, 200)).tolist()),
}


@pytest.mark.parametrize(("truth", "predicted"), CASES.values(), ids=CASES)
def test_the_figures_are_those_of_scikit_learn(truth: list[int], predicted: list[int]) -> None:
    metrics = measured(truth, predicted)
    present = sorted(set(truth))
    macro = f1_score(truth, predicted, labels=present, average="macro", zero_division=0.0)
    by_label = {"labels": range(4), "average": None, "zero_division": 0.0}
    assert metrics.accuracy == pytest.approx(accuracy_score(truth, predicted))
    assert metrics.macro_f1 == pytest.approx(macro)
    for name, score in (("precision", precision_score), ("recall", recall_score), ("f1", f1_score)):
        figures = [getattr(metrics.by_label[label], name) for label in ALL_LABELS]
        assert figures == pytest.approx(score(truth, predicted, **by_label))
    assert metrics.confusion_matrix == confusion_matrix(truth, predicted, labels=range(4)).tolist()


def test_the_figures_do_not_hang_on_the_order_of_clips() -> None:
    truth, predicted = CASES["many"]
    pairs = list(zip(truth, predicted, strict=True))
    shuffled = np.random.default_rng(1).permutation(pairs).T.tolist()
    assert shuffled != [truth, predicted]
    assert measured(*shuffled) == measured(truth, predicted)


@pytest.fixture(scope="module")
def tests_of_tiny(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Sounds that the tiny model was not fitted on, one of each label."""
    folder: Path = tmp_path_factory.mktemp("tests of tiny")
    clips = []
    for label in LABELS:
        path = folder / f"{label}.wav"
        path.write_bytes(wav(sound(label, seed=800)))
        clips.append(Clip(path, label))
    return Dataset("tests", "none", tuple(clips))


def test_files_are_classified_from_their_bytes(tiny: TinyModel, tests_of_tiny: Dataset) -> None:
    clips = list(reversed(tests_of_tiny.clips))
    notes: list[str] = []
    predictions = predict(Classifier.load(tiny.open()), clips, notes.append)
    assert predictions.truth.tolist() == predictions.predicted.tolist() == [2, 1, 0]
    assert predictions.unreadable == ()
    assert predictions.right.tolist() == [True] * 3
    assert predictions.clips == tuple(clips)
    assert predictions.probabilities.argmax(axis=1).tolist() == [2, 1, 0]
    assert predictions.probabilities.max(axis=1).tolist() == predictions.confidence.tolist()
    assert len(notes) == 3


@pytest.mark.parametrize(("uncertain_below", "uncertain"), [(0.0, False), (1.0, True)])
def test_confidence_and_doubt_are_the_classifiers_own(
    tiny: TinyModel, tests_of_tiny: Dataset, uncertain_below: float, uncertain: bool
) -> None:
    artifact = tiny.open()
    classifier = Classifier(
        tiny.reference,
        LABELS,
        FrontEnd.build(artifact.manifest.front_end_spec),
        load_engine("onnx", artifact),
        Calibration(temperature=4.0, uncertain_below=uncertain_below),
    )
    predictions = predict(classifier, tests_of_tiny.clips)
    answers = [classifier.classify(clip.path.read_bytes()) for clip in tests_of_tiny.clips]
    assert predictions.confidence.tolist() == [answer.top(1)[0][1] for answer in answers]
    assert predictions.uncertain.tolist() == [uncertain] * 3


def test_predictions_are_pooled_in_order(tiny: TinyModel, tests_of_tiny: Dataset) -> None:
    classifier = Classifier.load(tiny.open(), "onnx")
    broken = Clip(tiny.unreadable, "noise")
    clips = [*tests_of_tiny.clips, broken]
    whole = predict(classifier, clips)
    pooled = pool_predictions([predict(classifier, clips[:1]), predict(classifier, clips[1:])])
    assert pooled.clips == whole.clips == tests_of_tiny.clips
    for name in ("truth", "predicted", "confidence", "probabilities", "uncertain"):
        assert getattr(pooled, name).tolist() == getattr(whole, name).tolist()
    assert pooled.unreadable == whole.unreadable


def test_a_wrong_label_counts_as_wrong(tiny: TinyModel, tests_of_tiny: Dataset) -> None:
    noise = Clip(tests_of_tiny.clips[1].path, "tone")
    predictions = predict(Classifier.load(tiny.open()), [noise])
    assert (predictions.truth.tolist(), predictions.predicted.tolist()) == ([2], [1])


def test_files_that_cannot_be_read_are_left_out_and_told(
    tiny: TinyModel, tests_of_tiny: Dataset
) -> None:
    missing = Clip(tests_of_tiny.clips[0].path.with_name("missing.wav"), "tone")
    clips = [missing, tests_of_tiny.clips[2], Clip(tiny.unreadable, "noise")]
    predictions = predict(Classifier.load(tiny.open()), clips)
    assert predictions.truth.tolist() == predictions.predicted.tolist() == [2]
    assert [clip.path for clip in predictions.unreadable] == [missing.path, tiny.unreadable]
    assert "No such file" in predictions.unreadable[0].reason
    assert "not audio" in predictions.unreadable[1].reason


def evaluated(tiny: TinyModel, dataset: Dataset, model: str = NAME) -> Evaluation:
    return evaluate_version(model, dataset, tiny.store, silent)


@pytest.mark.parametrize("model", ["tiny", "tiny@1"])
def test_a_version_of_a_store_is_evaluated(
    tiny: TinyModel, tests_of_tiny: Dataset, model: str
) -> None:
    result = evaluated(tiny, tests_of_tiny, model)
    assert (result.metrics.clips, result.metrics.accuracy) == (3, 1)
    assert not result.trained_on_these


def test_a_data_set_with_fewer_labels_is_evaluated_over_those(
    tiny: TinyModel, tests_of_tiny: Dataset
) -> None:
    two = Dataset("two", "none", tests_of_tiny.clips[:2])
    metrics = evaluated(tiny, two).metrics
    assert metrics.macro_f1 == 1
    assert metrics.by_label["tone"].clips == 0
    assert np.shape(metrics.confusion_matrix) == (3, 3)


def test_labels_that_the_model_does_not_know_are_refused(
    tiny: TinyModel, tests_of_tiny: Dataset
) -> None:
    frog = Clip(tests_of_tiny.clips[0].path, "frog")
    other = Dataset("other", "none", (*tests_of_tiny.clips, frog))
    with pytest.raises(DatasetError, match="tiny does not know the labels frog"):
        evaluated(tiny, other)


def test_nothing_that_can_be_read_is_told_in_a_sentence(tiny: TinyModel) -> None:
    broken = Dataset("broken", "none", (Clip(tiny.unreadable, "tone"),))
    with pytest.raises(DatasetError, match="read"):
        evaluated(tiny, broken)


@pytest.mark.parametrize(
    ("model", "error"),
    [
        ("huge", UnknownModelError),
        ("../store/tiny", UnknownModelError),
        ("tiny@2", UnknownVersionError),
        ("tiny@0", UnknownVersionError),
        ("tiny@first", RecipeError),
        ("tiny@-1", RecipeError),
    ],
)
def test_a_version_that_is_not_there_is_an_error(
    tiny: TinyModel, tests_of_tiny: Dataset, model: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        evaluated(tiny, tests_of_tiny, model)


def test_clips_of_the_training_data_are_told(tiny: TinyModel) -> None:
    trained_on = load_dataset(tiny.data).select_folds(["3"])
    result = evaluated(tiny, trained_on)
    assert result.trained_on_these
    assert result.metrics.clips == 12
    assert result.metrics.accuracy == 1


def test_a_fold_that_was_not_trained_on_is_no_training_data(
    tiny: TinyModel, tmp_path: Path
) -> None:
    """The same data set, of which this version knows two folds."""
    version = tiny.copy_version(tmp_path)
    manifest = json.loads((version / "manifest.json").read_bytes())
    manifest["training"]["folds"] = ["1", "2"]
    (version / "manifest.json").write_text(json.dumps(manifest))
    third = load_dataset(tiny.data).select_folds(["3"])
    assert not evaluate_version(NAME, third, tmp_path, silent).trained_on_these


def test_a_damaged_version_is_not_evaluated(
    tiny: TinyModel, tests_of_tiny: Dataset, tmp_path: Path
) -> None:
    version = tiny.copy_version(tmp_path)
    shutil.copy(tiny.recipe, version / "model.keras")
    rehash(version)
    with pytest.raises(CorruptArtifactError, match="Keras cannot load the model"):
        evaluate_version(NAME, tests_of_tiny, tmp_path, silent)


def test_metrics_survive_json(tiny: TinyModel, tests_of_tiny: Dataset) -> None:
    metrics = evaluated(tiny, tests_of_tiny).metrics
    again = Metrics.model_validate_json(metrics.model_dump_json())
    assert again == metrics
    assert math.isfinite(again.macro_f1)
