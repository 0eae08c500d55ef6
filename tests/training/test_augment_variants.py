"""Variants: the same however they are computed, and heard by nothing but what is fitted."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.audio.frontend import FrontEnd
from app.progress import silent
from tests.tiny_model import LABELS, RATE_HZ, SAVING_WARNS, sound, wav
from training import runs
from training.augmentation.plan import Augmentation
from training.augmentation.variants import make_variants
from training.augmentation.waveform_plan import WaveformAugmentation
from training.datasets import Clip, Dataset
from training.examples import AugmentedBatches, select_examples
from training.features_cache import DatasetFeatures, Variants, extract_features
from training.recipe import Recipe
from training.recipe_error import RecipeError
from training.rounds import FittedRound, RoundWork, fit_round
from training.run_error import RunError
from training.splits import make_folds
from training.workers import ProcessPool

pytestmark = SAVING_WARNS

# Far below what the front end calls silence: every band at its floor.
SILENCE = {"variants": 2, "gain": {"probability": 1, "decibels": [-200, -200]}}
STRETCHED = {
    "variants": 2,
    "time_stretch": {"probability": 1, "rates": [0.5, 0.5]},
    "background": {"probability": 1},
}


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Two clips of each label in each of three folds."""
    folder = tmp_path_factory.mktemp("sounds")
    clips = []
    for seed in range(18):
        fold, label = str(1 + seed // 6), LABELS[seed % 3]
        path = folder / f"{fold}-{label}-{seed}.wav"
        path.write_bytes(wav(sound(label, seed, seconds=1.0 + seed % 2)))
        clips.append(Clip(path, label, fold))
    return Dataset("sounds", "none", tuple(clips))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def data(sounds: Dataset, tiny_recipe: Recipe, cache: Path) -> DatasetFeatures:
    return extract_features(sounds, tiny_recipe.front_end, cache, workers=ProcessPool(1))


def variants_of(
    sounds: Dataset,
    recipe: Recipe,
    cache: Path,
    values: dict[str, Any],
    processes: int = 1,
    seed: int = 0,
) -> Variants:
    return make_variants(
        sounds.clips,
        make_folds(sounds).part_of_clip,
        recipe.front_end,
        WaveformAugmentation.model_validate(values),
        seed,
        cache,
        workers=ProcessPool(processes),
    )


def few(sounds: Dataset, *clips: int) -> Dataset:
    return replace(sounds, clips=tuple(sounds.clips[clip] for clip in clips))


@pytest.mark.slow
def test_variants_do_not_depend_on_processes_the_cache_or_the_other_clips(
    sounds: Dataset, tiny_recipe: Recipe, tmp_path: Path
) -> None:
    values = {"variants": 2, "noise": {}, "pitch_shift": {}, "gain": {"probability": 1}}
    some = few(sounds, 0, 1, 2, 6, 7, 8)
    one = variants_of(some, tiny_recipe, tmp_path / "one", values)
    two = variants_of(some, tiny_recipe, tmp_path / "two", values, processes=2)
    kept = variants_of(some, tiny_recipe, tmp_path / "one", values)
    for other in (two, kept):
        for name in ("features", "clip_of_window", "number_of_window", "weights"):
            np.testing.assert_array_equal(getattr(other, name), getattr(one, name), strict=True)
    fewer = variants_of(few(sounds, 8, 1), tiny_recipe, tmp_path / "three", values)
    np.testing.assert_array_equal(
        fewer.features[fewer.clip_of_window == 0], one.features[one.clip_of_window == 5]
    )
    other_seed = variants_of(some, tiny_recipe, tmp_path / "one", values, seed=1)
    assert not np.array_equal(other_seed.features, one.features)


def test_a_clips_variants_differ_from_each_other_and_are_windowed_by_the_front_end(
    sounds: Dataset, tiny_recipe: Recipe, cache: Path
) -> None:
    some = few(sounds, 0, 1, 2, 6, 7, 8)
    made = variants_of(some, tiny_recipe, cache, STRETCHED)
    # Clips of one and two seconds, twice as long, in windows of one second.
    windows = [2, 2, 4, 4, 2, 2, 2, 2, 4, 4, 2, 2]
    assert np.bincount(made.clip_of_window * 2 + made.number_of_window).tolist() == windows
    first, second = (made.features[made.number_of_window == number] for number in (0, 1))
    assert not np.array_equal(first, second)
    assert made.weights == pytest.approx(np.ones(len(made.weights)))


def test_variants_of_no_change_are_the_clips_themselves(
    sounds: Dataset, tiny_recipe: Recipe, data: DatasetFeatures, cache: Path
) -> None:
    made = variants_of(sounds, tiny_recipe, cache, {"variants": 1})
    np.testing.assert_array_equal(made.features, data.features)
    np.testing.assert_array_equal(made.clip_of_window, data.clip_of_window)
    np.testing.assert_array_equal(made.weights, data.weights)


def test_a_labels_own_settings_are_those_of_its_clips_alone(
    sounds: Dataset, tiny_recipe: Recipe, data: DatasetFeatures, cache: Path
) -> None:
    values = {**SILENCE, "variants": 1, "by_label": {"tone": {"gain": False}}}
    made = variants_of(sounds, tiny_recipe, cache, values)
    of_tones = np.array([sounds.clips[clip].label == "tone" for clip in made.clip_of_window])
    np.testing.assert_array_equal(made.features[of_tones], data.features[of_tones])
    assert not np.isclose(made.features[~of_tones, 0], data.features[~of_tones, 0]).any()


def background_of(folder: Path, samples: np.ndarray[Any, Any]) -> dict[str, Any]:
    folder.mkdir()
    (folder / "hum.wav").write_bytes(wav(samples))
    background = {"probability": 1, "snr_decibels": [-30, -30], "folder": str(folder)}
    return {"variants": 1, "background": background}


def test_a_folders_sounds_come_behind_clips_and_another_makes_new_variants(
    sounds: Dataset, tiny_recipe: Recipe, tmp_path: Path, cache: Path
) -> None:
    """30 dB above the clip, the background is all that can be heard: its spectrum is the clip's."""
    some, made = few(sounds, 0, 6), []
    time = np.arange(RATE_HZ * 2) / RATE_HZ
    for hz in (400, 3000):
        hum = 0.5 * np.sin(2 * np.pi * hz * time)
        values = background_of(tmp_path / f"{hz}", hum)
        made.append(variants_of(some, tiny_recipe, cache, values).features[0])
        front_end = FrontEnd.build(tiny_recipe.front_end)
        plain = front_end.features(wav(hum)).features[0]
        shape = slice(1, 6)  # of the spectrum, not the level
        likeness = np.corrcoef(made[-1][shape].mean(axis=1)[:, 0], plain[shape].mean(axis=1)[:, 0])
        assert likeness[0, 1] > 0.9
    assert not np.array_equal(made[0], made[1])


def test_clips_of_the_same_part_and_another_label_are_backgrounds(
    sounds: Dataset, tiny_recipe: Recipe, cache: Path, tmp_path: Path
) -> None:
    """A clip of another part decides nothing: it may be a test clip."""
    values = {"variants": 3, "background": {"probability": 1}}
    before = variants_of(sounds, tiny_recipe, cache, values)
    clips = list(sounds.clips)
    for place in range(12, 18):  # the third fold, of other sounds
        path = tmp_path / clips[place].path.name
        path.write_bytes(wav(sound("noise", seed=100 + place)))
        clips[place] = replace(clips[place], path=path)
    after = variants_of(replace(sounds, clips=tuple(clips)), tiny_recipe, cache, values)
    np.testing.assert_array_equal(
        after.features[after.clip_of_window < 12], before.features[before.clip_of_window < 12]
    )


MISTAKES = {
    "no folder": ({"folder": "missing"}, "missing holds no audio file"),
    "an empty folder": ({"folder": "empty"}, "empty holds no audio file"),
    "no audio": ({"folder": "text"}, r"broken\.wav cannot be read: .*not audio"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_background_that_is_not_there_is_an_error(
    sounds: Dataset, tiny_recipe: Recipe, tmp_path: Path, mistake: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "broken.wav").write_bytes(b"no sound" * 100)
    background, reason = MISTAKES[mistake]
    values = {"background": {"probability": 1, "folder": str(tmp_path / background["folder"])}}
    with pytest.raises(RecipeError, match=reason):
        variants_of(few(sounds, 0, 6), tiny_recipe, tmp_path / "cache", values)


def test_a_part_of_one_label_has_no_backgrounds(
    sounds: Dataset, tiny_recipe: Recipe, tmp_path: Path
) -> None:
    with pytest.raises(RecipeError, match=r"clips of clicks alone.*name a folder"):
        variants_of(few(sounds, 0, 6), tiny_recipe, tmp_path, {"background": {}})


def with_plan(recipe: Recipe, values: dict[str, Any]) -> Recipe:
    plan = WaveformAugmentation.model_validate(values)
    training = recipe.training.model_copy(update={"epochs": 2})
    augmentation = Augmentation(waveform=plan)
    return recipe.model_copy(update={"augmentation": augmentation, "training": training})


@pytest.fixture(scope="module")
def silenced(sounds: Dataset, tiny_recipe: Recipe, cache: Path) -> runs.Run:
    """A run whose variants are silence."""
    recipe = with_plan(tiny_recipe, SILENCE)
    return runs.prepare(recipe, sounds, "auto", False, cache, silent)


def test_a_cache_that_cannot_be_written_to_is_no_fault_of_the_recording(
    sounds: Dataset, tiny_recipe: Recipe, tmp_path: Path
) -> None:
    (tmp_path / "variants").write_bytes(b"a file, where a folder should be")
    with pytest.raises(RunError, match=r"kept in .*/variants/.*: Not a directory"):
        variants_of(few(sounds, 0, 7), tiny_recipe, tmp_path, SILENCE)


def test_only_what_is_fitted_on_has_variants(silenced: runs.Run, data: DatasetFeatures) -> None:
    clips = np.arange(6)
    plain = select_examples(silenced.data, clips, LABELS)
    assert plain.versions is None
    np.testing.assert_array_equal(plain.features, data.features[:9])
    both = select_examples(silenced.data, clips, LABELS, with_variants=True)
    assert len(both.features) == 3 * len(plain.features)
    assert both.versions is not None
    np.testing.assert_array_equal(both.features[:9], plain.features)
    np.testing.assert_array_equal(both.targets[9:18:2].sum(axis=1), np.ones(5))
    assert not np.isin(both.features[9:, 0], plain.features[:, 0]).any()


def test_each_epoch_draws_one_version_of_each_clip(silenced: runs.Run) -> None:
    examples = select_examples(silenced.data, np.arange(18), LABELS, with_variants=True)
    assert examples.versions is not None
    rng = np.random.default_rng(0)
    drawn: list[int] = []
    for _ in range(30):
        windows = examples.versions.draw(rng)
        assert len(windows) == 27  # silence is as long as the sound
        by_clip = {
            (int(examples.versions.clips[window]), int(examples.versions.numbers[window]))
            for window in windows
        }
        assert sorted(clip for clip, _ in by_clip) == list(range(18))
        drawn.extend(number for _, number in by_clip)
    assert np.bincount(drawn) / len(drawn) == pytest.approx([1 / 3] * 3, abs=0.06)


def test_an_epoch_is_as_long_as_the_clips_whatever_the_variants_are(
    sounds: Dataset, tiny_recipe: Recipe, cache: Path, data: DatasetFeatures
) -> None:
    made = variants_of(sounds, tiny_recipe, cache, STRETCHED)
    assert len(made.features) == 4 * len(data.features)
    longer = replace(data, variants=made)
    examples = select_examples(longer, np.arange(18), LABELS, with_variants=True)
    batches = AugmentedBatches(tiny_recipe, examples)
    assert len(batches) == 27 // 8
    assert all(len(batches[index][0]) == 8 for index in range(len(batches)))


def first_round(run: runs.Run, data: DatasetFeatures) -> FittedRound:
    return fit_round(data, RoundWork(run.recipe, run.folds.rounds()[0], list(LABELS)))


def spoilt(run: runs.Run, clips: np.ndarray[Any, Any]) -> DatasetFeatures:
    """The run's data, of which some clips' variants are like no sound: who sees one, shows it.

    They are numbers all the same: with some processors, pooling takes over what is none.
    """
    variants = run.data.variants
    assert variants is not None
    features = variants.features.copy()
    features[np.isin(variants.clip_of_window, clips)] = 1e4
    return replace(run.data, variants=replace(variants, features=features))


@pytest.mark.slow
def test_no_variant_reaches_the_test_or_the_validation_part(silenced: runs.Run) -> None:
    honest = first_round(silenced, silenced.data)
    turn = silenced.folds.rounds()[0]
    without_test = first_round(silenced, spoilt(silenced, turn.test))
    np.testing.assert_array_equal(honest.outputs.answers(1.0), without_test.outputs.answers(1.0))
    assert np.isfinite(honest.outputs.answers(1.0)).all()
    without_validation = first_round(silenced, spoilt(silenced, turn.validation))
    assert honest.history == without_validation.history
    assert np.isfinite(honest.history["val_loss"]).all()


def test_a_variant_of_the_training_part_is_heard(silenced: runs.Run) -> None:
    """Else the test above would say nothing."""
    honest = first_round(silenced, silenced.data)
    turn = silenced.folds.rounds()[0]
    assert first_round(silenced, spoilt(silenced, turn.train)).history != honest.history


def test_labels_that_the_data_has_not_are_refused_before_any_work(
    sounds: Dataset, tiny_recipe: Recipe, tmp_path: Path
) -> None:
    recipe = with_plan(tiny_recipe, {"gain": {}, "by_label": {"siren": {"gain": False}}})
    with pytest.raises(RecipeError, match=r"names siren.*clicks, noise, tone"):
        runs.prepare(recipe, sounds, "auto", False, tmp_path / "cache", silent)
    assert not (tmp_path / "cache").exists()
