"""Calibration: scikit-learn's temperature, brute force, and a model that is too sure of itself."""

from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator

from app.audio.frontend import FrontEnd
from app.inference.artifact import Calibration
from app.inference.classifier import Classifier
from app.inference.engine import Engine, load_engine
from tests.tiny_model import LABELS, TinyModel, sound, wav
from training.calibration import (
    HIGHEST_TEMPERATURE,
    LOWEST_TEMPERATURE,
    N_BINS,
    ClipOutputs,
    expected_calibration_error,
    fit_calibration,
    fit_temperature,
    fit_threshold,
    measure_marks,
    outputs_of,
    pool_outputs,
)
from training.datasets import Clip, Dataset, load_dataset
from training.features_cache import DatasetFeatures, extract_features
from training.workers import ProcessPool

N_LABELS = 4


def logits_and_truth(n_clips: int, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Logits `[n, N_LABELS]` that promise exactly what then comes out, and what came out."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=1.5, size=(n_clips, N_LABELS))
    drawn = rng.random((n_clips, 1)) > softmax(logits, axis=1).cumsum(axis=1)
    truth: NDArray[np.intp] = np.minimum(drawn.sum(axis=1), N_LABELS - 1)
    return logits, truth


def clips_of_one_window(logits: NDArray[np.float64], truth: NDArray[np.intp]) -> ClipOutputs:
    windows = softmax(logits, axis=1).astype(np.float32)
    return ClipOutputs(list(windows[:, np.newaxis]), [np.ones(1, np.float32)] * len(truth), truth)


def clips_of_several_windows(n_clips: int, sharpness: float, seed: int) -> ClipOutputs:
    """Clips of one to four windows, of which the last is shorter, by an overconfident model."""
    rng = np.random.default_rng(seed)
    logits, truth = logits_and_truth(n_clips, seed)
    by_window, seconds = [], []
    for clip in logits:
        n_windows = rng.integers(1, 5)
        noisy = clip + rng.normal(scale=0.7, size=(n_windows, N_LABELS))
        by_window.append(softmax(sharpness * noisy, axis=1).astype(np.float32))
        seconds.append(np.array([4.0] * (n_windows - 1) + [rng.uniform(0.1, 4)], np.float32))
    return ClipOutputs(by_window, seconds, truth)


class Given(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """A classifier whose logits are its inputs."""

    def fit(self, _logits: Any, truth: Any) -> Self:
        self.classes_ = np.unique(truth)
        return self

    def predict(self, logits: NDArray[np.float64]) -> NDArray[np.intp]:
        chosen: NDArray[np.intp] = logits.argmax(axis=1)
        return chosen

    def decision_function(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        return logits


@pytest.mark.parametrize("sharpness", [0.7, 1.0, 3.0])
def test_the_temperature_is_that_of_scikit_learn(sharpness: float) -> None:
    logits, truth = logits_and_truth(400)
    logits *= sharpness
    given = FrozenEstimator(Given().fit(logits, truth))
    reference = CalibratedClassifierCV(given, method="temperature").fit(logits, truth)
    outputs = clips_of_one_window(logits, truth)
    answers = outputs.answers(fit_temperature(outputs))
    np.testing.assert_allclose(answers, reference.predict_proba(logits), atol=1e-4)


def naive_loss(outputs: ClipOutputs, temperature: float) -> float:
    """The negative log-likelihood, written as it is defined, clip by clip and window by window."""
    losses = []
    for clip, seconds, truth in zip(
        outputs.by_window, outputs.audio_seconds, outputs.truth, strict=True
    ):
        powers = [[float(p) ** (1 / temperature) for p in window] for window in clip]
        tempered = [window[truth] / sum(window) for window in powers]
        weights = [float(second) for second in seconds]
        mean = sum(p * weight for p, weight in zip(tempered, weights, strict=True)) / sum(weights)
        losses.append(-np.log(mean))
    return float(np.mean(losses))


@pytest.mark.parametrize("sharpness", [0.8, 2.0, 4.0])
def test_no_temperature_of_a_grid_is_more_likely(sharpness: float) -> None:
    """For clips of several windows, where temperature and average do not commute."""
    outputs = clips_of_several_windows(60, sharpness, seed=1)
    fitted = fit_temperature(outputs)
    grid = np.geomspace(LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE, 200)
    losses = [naive_loss(outputs, temperature) for temperature in grid]
    assert naive_loss(outputs, fitted) <= min(losses) + 1e-9
    assert fitted == pytest.approx(grid[np.argmin(losses)], rel=0.02)


@pytest.mark.parametrize("sharpness", [1.0, 2.5])
def test_a_model_that_is_too_sure_is_found_out_and_corrected(sharpness: float) -> None:
    """On clips on which the temperature was not fitted."""
    logits, truth = logits_and_truth(4000)
    calibration = fit_calibration(clips_of_one_window(sharpness * logits, truth))
    assert calibration.temperature == pytest.approx(sharpness, rel=0.1)
    logits, truth = logits_and_truth(4000, seed=1)
    others = clips_of_one_window(sharpness * logits, truth)
    before, after = (
        expected_calibration_error(answers.max(axis=1), answers.argmax(axis=1) == truth)
        for answers in (others.answers(1.0), others.answers(calibration.temperature))
    )
    assert after < 0.03
    if sharpness > 1:
        assert before > 0.1
    # Where probabilities come true, an answer is more likely wrong than right below one half.
    assert calibration.uncertain_below == pytest.approx(0.5, abs=0.1)


def test_temperatures_have_bounds() -> None:
    """Answers that are all right would have it fall to 0, answers that are all wrong rise."""
    logits, _ = logits_and_truth(50)
    right = clips_of_one_window(logits, logits.argmax(axis=1))
    assert fit_temperature(right) == pytest.approx(LOWEST_TEMPERATURE, rel=1e-3)
    wrong = clips_of_one_window(logits, logits.argmin(axis=1))
    assert fit_temperature(wrong) == pytest.approx(HIGHEST_TEMPERATURE, rel=1e-3)


def test_a_probability_of_nothing_can_be_tempered() -> None:
    """As a window's softmax gives for labels that are far away."""
    window = np.array([[1.0, 0.0, 0.0, 0.0]], np.float32)
    outputs = ClipOutputs([window] * 2, [np.ones(1, np.float32)] * 2, np.array([0, 1]))
    assert LOWEST_TEMPERATURE <= fit_temperature(outputs) <= HIGHEST_TEMPERATURE
    answer = outputs.answers(HIGHEST_TEMPERATURE)[0]
    assert answer.argmax() == 0
    assert answer.sum() == pytest.approx(1)


def test_windows_are_tempered_before_they_are_averaged() -> None:
    windows = np.array([[0.9, 0.1], [0.2, 0.8]], np.float32)
    outputs = ClipOutputs([windows], [np.array([3.0, 1.0], np.float32)], np.array([0]))
    # Squared and normalised: 81/82 for three seconds, 4/68 for one.
    expected = [(3 * 81 / 82 + 4 / 68) / 4, (3 / 82 + 64 / 68) / 4]
    assert outputs.answers(0.5)[0].tolist() == pytest.approx(expected)
    assert outputs.answers(1.0)[0].tolist() == pytest.approx([0.725, 0.275])


BY_HAND: dict[str, tuple[list[float], list[bool], float]] = {
    "as promised": ([0.8] * 5, [True] * 4 + [False], 0.0),
    "sure and wrong": ([1.0, 1.0], [False, False], 1.0),
    "sure and right": ([1.0], [True], 0.0),
    "too modest": ([0.4, 0.4], [True, True], 0.6),
    # |2 * 0.9 - 1| and |2 * 0.5 - 2|, of four answers.
    "two bins": ([0.9, 0.9, 0.5, 0.5], [True, False, True, True], (0.8 + 1.0) / 4),
    # In one bin, too much promised and too little cancel out.
    "one bin": ([0.95, 0.99], [True, False], 0.94 / 2),
    # A bin's upper edge is its own: 1/3 and 0.35 lie in two bins, and do not cancel out.
    "on an edge": ([1 / 3, 0.35], [True, False], (2 / 3 + 0.35) / 2),
}


@pytest.mark.parametrize(("confidence", "right", "expected"), BY_HAND.values(), ids=BY_HAND)
def test_errors_counted_by_hand(
    confidence: list[float], right: list[bool], expected: float
) -> None:
    error = expected_calibration_error(np.array(confidence), np.array(right))
    assert error == pytest.approx(expected, abs=1e-12)


def naive_error(confidence: NDArray[np.float64], right: NDArray[np.bool]) -> float:
    """The expected calibration error bin by bin, as its equation (3) by Guo et al. reads."""
    error = 0.0
    for m in range(1, N_BINS + 1):
        chosen = [i for i, p in enumerate(confidence) if (m - 1) / N_BINS < p <= m / N_BINS]
        if chosen:
            accuracy = sum(bool(right[i]) for i in chosen) / len(chosen)
            mean = sum(confidence[i] for i in chosen) / len(chosen)
            error += len(chosen) / len(confidence) * abs(accuracy - mean)
    return error


def random_answers(n: int, seed: int, decimals: int = 9) -> tuple[NDArray[np.float64], Any]:
    """Top probabilities, with ties where rounded, and whether such answers were right."""
    rng = np.random.default_rng(seed)
    confidence = rng.uniform(0.1, 1.0, n)
    right = rng.random(n) < confidence
    return confidence.round(decimals), right


@pytest.mark.parametrize("n", [1, 10, 1000])
def test_the_error_is_that_of_its_definition(n: int) -> None:
    confidence, right = random_answers(n, seed=n)
    expected = naive_error(confidence, right)
    assert expected_calibration_error(confidence, right) == pytest.approx(expected, abs=1e-12)


THRESHOLDS: dict[str, tuple[list[float], list[bool], float]] = {
    "separable": ([0.2, 0.6, 0.4], [False, True, False], 0.6),
    "all right": ([0.3, 0.9], [True, True], 0.0),
    "all wrong": ([0.3, 0.9], [False, False], 1.0),
    "the other way round": ([0.3, 0.9], [True, False], 0.0),
    "as good without": ([0.3, 0.4, 0.9], [False, True, True], 0.4),
    "of two alike, the lower": ([0.2, 0.3, 0.4, 0.9], [False, True, False, True], 0.3),
    "a tie cannot be told apart": ([0.5, 0.5, 0.9], [True, False, True], 0.0),
}


@pytest.mark.parametrize(("confidence", "right", "expected"), THRESHOLDS.values(), ids=THRESHOLDS)
def test_thresholds_found_by_hand(
    confidence: list[float], right: list[bool], expected: float
) -> None:
    assert fit_threshold(np.array(confidence), np.array(right)) == expected


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("decimals", [2, 9])
def test_no_other_threshold_separates_better(seed: int, decimals: int) -> None:
    confidence, right = random_answers(300, seed, decimals)

    def separated(threshold: float) -> int:
        return sum(
            (p >= threshold) == is_right for p, is_right in zip(confidence, right, strict=True)
        )

    fitted = fit_threshold(confidence, right)
    candidates = [0.0, 1.0, *confidence, *np.linspace(0, 1, 100)]
    assert separated(fitted) == max(map(separated, candidates))
    lower_ones = [lower for lower in (0.0, *confidence) if lower < fitted]
    assert all(separated(lower) < separated(fitted) for lower in lower_ones)


def test_marks_are_counted() -> None:
    marked = np.array([True, True, False, False, False])
    right = np.array([True, False, True, True, False])
    marks = measure_marks(marked, right)
    assert (marks.share, marks.accuracy_marked) == (0.4, 0.5)
    assert marks.accuracy_unmarked == pytest.approx(2 / 3)
    assert measure_marks(~right & False, right).accuracy_marked is None
    assert measure_marks(right | True, right).accuracy_unmarked is None


@pytest.fixture(scope="module")
def data(tiny: TinyModel) -> DatasetFeatures:
    """The tiny model's features, from its cache."""
    spec = tiny.open().manifest.front_end_spec
    return extract_features(load_dataset(tiny.data), spec, tiny.cache, workers=ProcessPool(1))


@pytest.fixture(scope="module")
def engine(tiny: TinyModel) -> Engine:
    """Runs the tiny model."""
    return load_engine("onnx", tiny.open())


def test_a_temperature_is_fitted_on_what_serving_makes_of_it(
    tiny: TinyModel, data: DatasetFeatures, engine: Engine
) -> None:
    """From cached features, and from bytes through the classifier: the same answers."""
    front_end = FrontEnd.build(tiny.open().manifest.front_end_spec)
    calibration = Calibration(temperature=2.5, uncertain_below=0.0)
    classifier = Classifier(tiny.reference, LABELS, front_end, engine, calibration)
    chosen = np.array([1, 4, 11, 20])
    outputs = outputs_of(engine, data, chosen, LABELS)
    assert max(len(clip) for clip in outputs.by_window) > 1
    clips = [data.clips[index] for index in chosen]
    assert [LABELS[index] for index in outputs.truth] == [clip.label for clip in clips]
    for clip, answer in zip(clips, outputs.answers(2.5), strict=True):
        served = classifier.classify(clip.path.read_bytes()).probabilities
        assert list(served.values()) == pytest.approx(answer.tolist(), abs=1e-5)


def test_what_serving_leaves_out_counts_for_nothing(
    tiny: TinyModel, engine: Engine, tmp_path: Path
) -> None:
    """A tone, two seconds of silence, and a tone: two windows of four are heard."""
    tone = sound("tone", 1)
    path = tmp_path / "tone.wav"
    path.write_bytes(wav(np.concatenate([tone, np.zeros(2 * len(tone)), tone])))
    front_end = FrontEnd.build(tiny.open().manifest.front_end_spec)
    few = Dataset("pauses", "none", (Clip(path, "tone", "1"),))
    data = extract_features(few, front_end.spec, tmp_path / "cache", workers=ProcessPool(1))
    assert len(data.features) == 2
    (answer,) = outputs_of(engine, data, np.array([0]), LABELS).answers(1.0)
    served = Classifier(tiny.reference, LABELS, front_end, engine).classify(path.read_bytes())
    assert [window.silence for window in served.windows] == [False, True, True, False]
    assert list(served.probabilities.values()) == pytest.approx(answer.tolist(), abs=1e-5)


def test_many_windows_are_run_in_batches(
    data: DatasetFeatures, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    clips = np.arange(6)
    whole = outputs_of(engine, data, clips, LABELS)
    monkeypatch.setattr("training.calibration.BATCH_WINDOWS", 4)
    parts = outputs_of(engine, data, clips, LABELS)
    for one, other in zip(whole.by_window, parts.by_window, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_pooled_outputs_are_those_of_all_clips(data: DatasetFeatures, engine: Engine) -> None:
    parts = [outputs_of(engine, data, np.array(clips), LABELS) for clips in ([0, 3], [7])]
    together = outputs_of(engine, data, np.array([0, 3, 7]), LABELS)
    np.testing.assert_allclose(pool_outputs(parts).answers(1.5), together.answers(1.5), atol=1e-6)
    assert pool_outputs(parts).truth.tolist() == together.truth.tolist()
