"""Classifier: windows become one answer, in the model's order, whatever the file's format."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
import scipy.special
from numpy.typing import NDArray

from app.audio.cutting import Cutting
from app.audio.frontend import FrontEnd
from app.audio.limits import DecodeLimits
from app.audio.source import Source
from app.errors import AudioTooLongError, NotAudioError
from app.inference.artifact import Calibration
from app.inference.classification import Classification, StageSeconds
from app.inference.classifier import BATCH_WINDOWS, Classifier
from app.inference.engine import load_engine
from app.inference.store import ModelReference
from tests.tiny_model import LABELS, RATE_HZ, TinyModel, encoded, sound, wav


@pytest.fixture(scope="module")
def classifier(tiny: TinyModel) -> Classifier:
    return Classifier.load(tiny.open())


def medley(seconds: float) -> NDArray[np.float64]:
    """Sounds of all labels, a second each, in turn."""
    n_sounds = math.ceil(seconds)
    sounds = [sound(LABELS[index % 3], seed=900 + index) for index in range(n_sounds)]
    return np.concatenate(sounds)[: round(seconds * RATE_HZ)]


def averaged_by_hand(
    by_window: Sequence[Sequence[float]], seconds: Sequence[float]
) -> dict[str, float]:
    total = math.fsum(seconds)
    return {
        label: math.fsum(s * window[i] for window, s in zip(by_window, seconds, strict=True))
        / total
        for i, label in enumerate(LABELS)
    }


@pytest.mark.parametrize("label", LABELS)
def test_a_sound_gets_its_label(classifier: Classifier, label: str) -> None:
    answer = classifier.classify(wav(sound(label, seed=500)))
    assert answer.label == label
    assert answer.model == ModelReference("tiny", 1)


@pytest.mark.parametrize("seconds", [0.01, 0.5, 1.0, 1.05, 2.4, 40.0])
def test_probabilities_are_in_the_labels_order_and_sum_to_one(
    classifier: Classifier, seconds: float
) -> None:
    answer = classifier.classify(wav(medley(seconds)))
    assert tuple(answer.probabilities) == LABELS
    assert math.fsum(answer.probabilities.values()) == pytest.approx(1, abs=1e-12)
    assert all(0 <= probability <= 1 for probability in answer.probabilities.values())
    assert answer.duration_seconds == pytest.approx(seconds)


def test_windows_are_weighted_by_their_seconds_of_audio(tiny: TinyModel) -> None:
    clip = wav(medley(2.4))
    spec = tiny.open().manifest.front_end_spec
    features = FrontEnd.build(spec).features(clip).features
    by_window = load_engine("onnx", tiny.open()).predict(features)
    assert len({tuple(window) for window in by_window}) == 3  # else any weights would do
    expected = averaged_by_hand(by_window.tolist(), [1.0, 1.0, 0.4])
    answer = with_calibration(tiny, None).classify(clip)
    assert answer.probabilities == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize("n_windows", [BATCH_WINDOWS, BATCH_WINDOWS + 1, 2 * BATCH_WINDOWS + 6])
def test_a_long_clip_equals_its_windows_one_by_one(classifier: Classifier, n_windows: int) -> None:
    seconds = [1.0] * (n_windows - 1) + [0.5]
    samples = medley(sum(seconds))
    pieces = [samples[i * RATE_HZ : (i + 1) * RATE_HZ] for i in range(n_windows)]
    answers = [classifier.classify(wav(piece)).probabilities for piece in pieces]
    expected = averaged_by_hand([[*answer.values()] for answer in answers], seconds)
    answer = classifier.classify(wav(samples))
    assert answer.probabilities == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize(
    ("rate_hz", "channels", "container"),
    [(8_000, 1, "WAV"), (44_100, 2, "WAV"), (44_100, 2, "MP3"), (48_000, 1, "FLAC"),
     (22_050, 2, "OGG"), (96_000, 1, "AIFF")],
)  # fmt: skip
def test_the_same_sound_in_another_format_gets_the_same_label(
    classifier: Classifier, label: str, rate_hz: int, channels: int, container: str
) -> None:
    mono = sound(label, seed=600, seconds=2.0, rate_hz=rate_hz)
    samples = np.repeat(mono[:, np.newaxis], channels, axis=1)
    answer = classifier.classify(encoded(samples, rate_hz, container))
    assert answer.label == label
    assert answer.duration_seconds == pytest.approx(2.0, abs=0.06)  # MP3 appends some silence


def test_bytes_and_shared_memory_get_the_same_answer(classifier: Classifier) -> None:
    data = wav(medley(2.4))
    block = memoryview(b"before" + data + b"after")[6 : 6 + len(data)]
    assert classifier.classify(block).probabilities == classifier.classify(data).probabilities


def test_the_same_bytes_always_get_the_same_answer(classifier: Classifier) -> None:
    data = wav(medley(40))
    first, second = classifier.classify(data), classifier.classify(data)
    assert first.probabilities == second.probabilities


def test_silence_is_an_answer_too(classifier: Classifier) -> None:
    answer = classifier.classify(wav(np.zeros(RATE_HZ)))
    assert math.fsum(answer.probabilities.values()) == pytest.approx(1, abs=1e-12)


def test_what_is_no_audio_is_refused(classifier: Classifier) -> None:
    with pytest.raises(NotAudioError):
        classifier.classify(b"neither sound nor music" * 100)


def test_the_callers_limits_hold(classifier: Classifier) -> None:
    clip = wav(medley(2.0))
    with pytest.raises(AudioTooLongError, match=r"longer than 1\.5 seconds"):
        classifier.classify(clip, DecodeLimits(max_seconds=1.5))
    assert classifier.classify(clip, DecodeLimits(max_seconds=2.0)).duration_seconds == 2.0


def test_the_time_is_told_by_stage(classifier: Classifier) -> None:
    stages = classifier.classify(wav(medley(5))).stage_seconds
    assert min(stages.decode, stages.features, stages.model) > 0
    assert stages.resample == 0  # it has the rate that the model wants


def test_the_resamplers_time_and_what_the_file_was_are_told(classifier: Classifier) -> None:
    stereo = np.stack([medley(5)] * 2, axis=1)
    answer = classifier.classify(wav(stereo, 16_000))
    assert min(answer.stage_seconds.resample, answer.stage_seconds.decode) > 0
    assert answer.source == Source("WAV", 16_000, 2)


def classification(**probabilities: float) -> Classification:
    stages = StageSeconds(decode=0, resample=0, features=0, model=0)
    return Classification(ModelReference("m", 1), 1.0, False, probabilities, (), False, 0.0, stages)


def test_the_most_probable_come_first() -> None:
    answer = classification(a=0.2, b=0.5, c=0.3)
    assert answer.label == "b"
    assert answer.top(2) == [("b", 0.5), ("c", 0.3)]
    assert answer.top() == answer.top(7) == [("b", 0.5), ("c", 0.3), ("a", 0.2)]


def test_equals_keep_the_models_order() -> None:
    answer = classification(z=0.3, a=0.3, m=0.4)
    assert answer.top() == [("m", 0.4), ("z", 0.3), ("a", 0.3)]


def with_calibration(tiny: TinyModel, calibration: Calibration | None) -> Classifier:
    artifact = tiny.open()
    front_end = FrontEnd(artifact.manifest.front_end_spec, artifact.front_end_tables())
    engine = load_engine("onnx", artifact)
    return Classifier(tiny.reference, LABELS, front_end, engine, calibration)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 1.7, 30.0])
def test_a_temperature_divides_the_logits_of_each_window(
    tiny: TinyModel, temperature: float
) -> None:
    clip = wav(medley(2.4))
    plain = with_calibration(tiny, None).classify(clip)
    tempered = with_calibration(tiny, Calibration(temperature=temperature, uncertain_below=0.5))
    answer = tempered.classify(clip)
    for before, after in zip(plain.windows, answer.windows, strict=True):
        expected = scipy.special.softmax(np.log(before.probabilities) / temperature)
        assert after.probabilities == pytest.approx(expected, abs=1e-5)
    assert math.fsum(answer.probabilities.values()) == pytest.approx(1, abs=1e-9)


def test_an_answer_below_the_threshold_is_uncertain(tiny: TinyModel) -> None:
    clip = wav(sound("tone", seed=500))
    highest = with_calibration(tiny, None).classify(clip).top(1)[0][1]
    for threshold, uncertain in [(highest - 1e-6, False), (highest + 1e-6, True)]:
        calibration = Calibration(temperature=1.0, uncertain_below=threshold)
        assert with_calibration(tiny, calibration).classify(clip).uncertain is uncertain


def test_silence_is_told_of_each_window(classifier: Classifier) -> None:
    clip = np.concatenate([sound("tone", seed=1), np.zeros(RATE_HZ), np.zeros(RATE_HZ // 2)])
    answer = classifier.classify(wav(clip))
    assert [window.silence for window in answer.windows] == [False, True, True]
    assert not answer.silence
    assert tuple(answer.probabilities.values()) == pytest.approx(answer.windows[0].probabilities)
    nothing = classifier.classify(wav(np.zeros(RATE_HZ)))
    assert nothing.silence
    assert nothing.uncertain


def test_windows_have_times_and_make_the_average(classifier: Classifier) -> None:
    cutting = Cutting(start_seconds=0.5, end_seconds=4.75, hop_seconds=0.5)
    answer = classifier.classify(wav(medley(6.0)), cutting=cutting)
    times = [(window.start_seconds, window.end_seconds) for window in answer.windows]
    assert times[:3] == [(0.5, 1.5), (1.0, 2.0), (1.5, 2.5)]
    assert times[-1] == (4.0, 4.75)
    assert answer.duration_seconds == 4.25
    seconds = [end - start for start, end in times]
    expected = averaged_by_hand([w.probabilities for w in answer.windows], seconds)
    assert answer.probabilities == pytest.approx(expected, abs=1e-6)
