"""Cross-validation: no test part takes part in a choice, and what is not known is not told."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from app.inference.artifact import Calibration
from app.inference.store import ModelReference
from tests.tiny_model import LABELS, SAVING_WARNS, TinyModel
from tests.training.test_fit import recipe_with
from training import rounds
from training.calibration import Marks, fit_calibration, pool_outputs
from training.cross_validation import cross_validate
from training.datasets import Clip, Dataset, load_dataset
from training.features_cache import DatasetFeatures, extract_features
from training.fit_place import FitPlace
from training.model_card import model_card
from training.recipe import ModelOptions, Recipe
from training.results import CrossValidation
from training.rounds import FittedRound, RoundWork, fit_round
from training.run_error import RunError
from training.splits import Folds, make_folds
from training.workers import ProcessPool

pytestmark = SAVING_WARNS


@pytest.fixture(scope="module")
def data(tiny: TinyModel, tiny_recipe: Recipe) -> DatasetFeatures:
    """The tiny model's features, from its cache."""
    dataset = load_dataset(tiny.data)
    return extract_features(dataset, tiny_recipe.front_end, tiny.cache, workers=ProcessPool(1))


@pytest.fixture(scope="module")
def hasty(tiny_recipe: Recipe) -> Recipe:
    """The tiny recipe, of a single epoch."""
    training = tiny_recipe.training.model_copy(update={"epochs": 1})
    return tiny_recipe.model_copy(update={"training": training})


def parts(data: DatasetFeatures, *names: str) -> Folds:
    """The data's folds as parts; those that are not named are one with the last."""
    part_of_fold = {name: part for part, name in enumerate(names)}
    folds = [clip.fold for clip in data.clips]
    last = len(names) - 1
    return Folds("folds", names, np.array([part_of_fold.get(f or "", last) for f in folds]))


def first_fitted(recipe: Recipe, data: DatasetFeatures) -> FittedRound:
    turn = parts(data, "1", "2", "3").rounds()[0]
    return fit_round(data, RoundWork(recipe, turn, list(LABELS)))


@pytest.fixture(scope="module")
def honest(hasty: Recipe, data: DatasetFeatures) -> FittedRound:
    """The first round, fitted once for the tests that only look at it."""
    return first_fitted(hasty, data)


def test_a_file_that_is_gone_ends_the_run_instead_of_leaving_the_figures(
    data: DatasetFeatures, hasty: Recipe, honest: FittedRound
) -> None:
    first = int(honest.turn.test[0])
    gone = replace(data.clips[first], path=data.clips[first].path.with_name("gone.wav"))
    clips = (*data.clips[:first], gone, *data.clips[first + 1 :])
    work = rounds.TestWork(
        hasty, honest, list(LABELS), Calibration(temperature=1, uncertain_below=0)
    )
    with pytest.raises(RunError, match=r"gone\.wav could be read before, and cannot be now"):
        rounds.test_round(replace(data, clips=clips), work)


def test_the_test_part_takes_no_part_in_what_its_model_says(
    data: DatasetFeatures, hasty: Recipe, honest: FittedRound
) -> None:
    """With other labels for it, the same answers are only compared with another truth."""
    other_labels = dict(zip(LABELS, (*LABELS[1:], LABELS[0]), strict=True))
    mislabelled = first_fitted(
        hasty,
        replace(
            data,
            clips=tuple(
                Clip(clip.path, other_labels[clip.label], clip.fold) if clip.fold == "1" else clip
                for clip in data.clips
            ),
        ),
    )
    np.testing.assert_array_equal(honest.outputs.answers(1.0), mislabelled.outputs.answers(1.0))
    assert honest.outputs.truth.tolist() != mislabelled.outputs.truth.tolist()
    assert len(honest.outputs.truth) == 12


def test_each_epoch_tells_how_long_all_fits_will_take(data: DatasetFeatures, hasty: Recipe) -> None:
    notes: list[str] = []
    folds = parts(data, "1", "2")
    cross_validate(hasty, data, folds, list(LABELS), FitPlace(lambda _what, _units: notes.append))
    of_fits = [note for note in notes if note.startswith("loss")]
    assert len(of_fits) == 2
    assert all(note.endswith("; all fits: under a minute left") for note in of_fits)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model": ModelOptions(architecture="mobilenet")}, "No pre-trained weights: they began"),
        (
            {
                "model": ModelOptions(
                    architecture="mobilenet", options={"weights": "/home/ada/photographs.h5"}
                )
            },
            "this test suite. Its weights began as those in the file `photographs.h5`. Published",
        ),
        ({"starting_point": "urbansound@1"}, "as those of `urbansound@1`, but for the last"),
    ],
    ids=["by chance", "a file", "a starting point"],
)
def test_the_card_says_what_the_weights_began_as(
    tiny: TinyModel,
    hasty: Recipe,
    calibrated: CrossValidation,
    change: dict[str, Any],
    words: str,
) -> None:
    assert "began" not in card_of(tiny, hasty, calibrated)
    assert words in card_of(tiny, hasty.model_copy(update=change), calibrated)


@pytest.mark.slow
def test_a_round_is_calibrated_by_the_others(data: DatasetFeatures, hasty: Recipe) -> None:
    turns = parts(data, "1", "2", "3").rounds()
    rounds = [fit_round(data, RoundWork(hasty, turn, list(LABELS))) for turn in turns]
    result = cross_validate(hasty, data, parts(data, "1", "2", "3"), list(LABELS)).figures
    for place, turn in enumerate(result.rounds):
        others = [fitted.outputs for other, fitted in enumerate(rounds) if other != place]
        assert turn.calibration == fit_calibration(pool_outputs(others))
    everything = pool_outputs([fitted.outputs for fitted in rounds])
    assert result.calibration == fit_calibration(everything)


@pytest.fixture(scope="module")
def of_two_folds(data: DatasetFeatures, hasty: Recipe) -> CrossValidation:
    """Two parts: one to fit on, and one to test on."""
    return cross_validate(hasty, data, parts(data, "1", "2"), list(LABELS)).figures


def test_two_folds_calibrate_each_other(of_two_folds: CrossValidation) -> None:
    first, second = of_two_folds.rounds
    assert first.calibration != second.calibration
    assert 0 <= of_two_folds.ece_before <= 1
    assert 0 <= of_two_folds.ece_after <= 1
    assert set(of_two_folds.figures) == {
        "accuracy_mean", "accuracy_deviation", "macro_f1_mean", "ece_before", "ece_after",
    }  # fmt: skip


def card_of(tiny: TinyModel, recipe: Recipe, result: CrossValidation) -> str:
    training = tiny.open().manifest.training
    card = model_card(ModelReference("tiny", 1), recipe, training, result)
    return " ".join(card.split())


@pytest.fixture
def calibrated(of_two_folds: CrossValidation) -> CrossValidation:
    """A result with figures that the tiny model, which is always right, does not give."""
    calibration = Calibration(temperature=1.75, uncertain_below=0.4375)
    return of_two_folds.model_copy(
        update={
            "calibration": calibration,
            "ece_after": 0.0625,
            "marks": Marks(share=0.25, accuracy_marked=0.375, accuracy_unmarked=0.875),
            "rounds": [
                turn.model_copy(update={"calibration": calibration}) for turn in of_two_folds.rounds
            ],
        }
    )


def test_the_card_says_what_is_marked(
    tiny: TinyModel, hasty: Recipe, calibrated: CrossValidation
) -> None:
    card = card_of(tiny, hasty, calibrated)
    assert "The temperature is **1.750**: the network alone is too sure of itself." in card
    assert "below **0.438** is marked as uncertain" in card
    assert (
        "Of the test clips 25.0% are marked; of those 37.5% are answered rightly, of the others "
        "87.5%." in card
    )
    assert "(1.75 and 0.44, 1.75 and 0.44)" in card
    assert "- Its probabilities are calibrated for clips like those" in card


def test_the_card_says_how_the_recipe_was_chosen_and_of_how_many_networks(
    tiny: TinyModel, hasty: Recipe, calibrated: CrossValidation
) -> None:
    plain = card_of(tiny, hasty, calibrated)
    assert "How the recipe was chosen" not in plain
    assert "networks" not in plain
    several = recipe_with(hasty, networks=3).model_copy(update={"choices": "by a die."})
    card = card_of(tiny, several, calibrated)
    assert "no clip is left to test it on. How the recipe was chosen: by a die. | tested" in card
    assert "3 networks, fitted from seeds of their own, whose logits are averaged." in card


@pytest.mark.slow
def test_a_random_split_is_marked_in_result_and_card(
    tiny: TinyModel, data: DatasetFeatures, hasty: Recipe
) -> None:
    clips = tuple(
        replace(clip, salience="foreground" if clip.fold == "1" else None) for clip in data.clips
    )
    folds = make_folds(Dataset("tiny", "none", clips), "random")
    result = cross_validate(hasty, replace(data, clips=clips), folds, list(LABELS)).figures
    assert result.warning == folds.warning
    card = card_of(tiny, hasty, result)
    assert "> **Warning.** Random split, though the data has official folds: slices" in card
    foreground = result.together.by_salience["foreground"]
    assert foreground.clips == 12
    assert f"| foreground | 12 | {foreground.accuracy:.1%} |" in card


def test_a_result_over_official_folds_has_no_mark(
    tiny: TinyModel, hasty: Recipe, of_two_folds: CrossValidation
) -> None:
    assert of_two_folds.warning is None
    card = card_of(tiny, hasty, of_two_folds)
    assert "Warning" not in card
    assert "salience" not in card


def test_the_card_says_where_no_answer_is_marked(
    tiny: TinyModel, hasty: Recipe, calibrated: CrossValidation
) -> None:
    none = calibrated.model_copy(
        update={"calibration": Calibration(temperature=0.75, uncertain_below=0.0)}
    )
    card = card_of(tiny, hasty, none)
    assert "**0.750**: the network alone is less sure of itself than it could be." in card
    assert "No answer is marked as uncertain for its probabilities" in card
    without_any = Marks(share=0.0, accuracy_marked=None, accuracy_unmarked=0.75)
    card = card_of(tiny, hasty, calibrated.model_copy(update={"marks": without_any}))
    assert "0.0% are marked; of those (there are none) are answered rightly" in card
