"""Ablation: each arm makes the changes that its name says, and none is fitted twice."""

import json
from pathlib import Path
from typing import Any

import pytest

from app.progress import silent
from tests.tiny_model import LABELS, RECIPE, SAVING_WARNS, TinyModel, sound, wav
from tests.training.test_cli import HarkTrain
from tests.training.test_cli import hark_train as hark_train
from training.ablation import Arm, ablate, ablation_json, prepare, shortened
from training.augmentation.arms import arms_of, changes_of, plan_with
from training.augmentation.plan import Augmentation
from training.datasets import Dataset, load_dataset
from training.recipe import Recipe, load_recipe
from training.recipe_error import RecipeError
from training.results import CrossValidation

pytestmark = SAVING_WARNS

PLAN = Augmentation.model_validate(
    {
        "gain_decibels": 6,
        "time_masks": 2,
        "time_mask_share": 0.2,
        "waveform": {
            "variants": 3,
            "noise": {"snr_decibels": [20, 30]},
            "by_label": {"siren": {"pitch_shift": {}, "noise": False}},
        },
    }
)
NAMES = ["gain_decibels", "time_masks", "waveform.pitch_shift", "waveform.noise"]


def test_the_changes_of_a_plan_are_those_of_any_label() -> None:
    assert changes_of(PLAN) == NAMES
    assert changes_of(Augmentation(time_masks=0, time_mask_share=0.5)) == []


def test_a_plan_of_all_its_changes_is_itself_and_of_none_is_empty() -> None:
    assert plan_with(PLAN, NAMES) == PLAN
    assert plan_with(PLAN, []) == Augmentation()


@pytest.mark.parametrize("name", NAMES)
def test_a_plan_of_one_change_makes_it_as_before(name: str) -> None:
    alone = plan_with(PLAN, [name])
    assert changes_of(alone) == [name]
    assert changes_of(plan_with(PLAN, [n for n in NAMES if n != name])) == [
        n for n in NAMES if n != name
    ]
    if name == "time_masks":
        assert (alone.time_masks, alone.time_mask_share) == (2, 0.2)
    if name == "waveform.noise":
        assert alone.waveform is not None
        assert alone.waveform.variants == 3
        assert alone.waveform.for_label("siren").noise is None
        assert alone.waveform.for_label("dog_bark").noise == PLAN.waveform.noise  # type: ignore[union-attr]


def test_there_is_an_arm_of_each_kind_once() -> None:
    assert list(arms_of(PLAN, leave_one_out=False)) == [
        "none", *(f"only {name}" for name in NAMES), "all",
    ]  # fmt: skip
    with_others = arms_of(PLAN, leave_one_out=True)
    assert with_others["all but time_masks"] == [n for n in NAMES if n != "time_masks"]
    assert list(with_others)[-1] == "all"
    assert len(with_others) == 2 + 2 * len(NAMES)
    one, two = Augmentation(gain_decibels=6), Augmentation(gain_decibels=6, mixup_alpha=0.2)
    assert list(arms_of(one, leave_one_out=True)) == ["none", "all"]
    assert len(arms_of(two, leave_one_out=True)) == 4  # all but one of two is the other alone


def test_a_recipe_without_augmentation_cannot_be_taken_apart() -> None:
    with pytest.raises(RecipeError, match=r"no augmentation to take apart; give it"):
        arms_of(Augmentation(), leave_one_out=True)


def test_a_recipe_is_shortened(tiny_recipe: Recipe) -> None:
    assert shortened(tiny_recipe, None) == tiny_recipe
    long = tiny_recipe.model_copy(
        update={"training": tiny_recipe.training.model_copy(update={"min_epochs": 5})}
    )
    assert shortened(long, 2).training.epochs == shortened(long, 2).training.min_epochs == 2


ABLATED = RECIPE + "\n[augmentation.waveform]\nvariants = 1\n[augmentation.waveform.gain]\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe, two clips of each label in each of two folds, and a file that is no audio."""
    folder = tmp_path_factory.mktemp("ablation")
    recipe = ABLATED.replace("time_shift = true\n", "").replace("epochs = 8", "epochs = 2")
    (folder / "recipe.toml").write_text(recipe)
    (folder / "broken.wav").write_bytes(b"no sound" * 100)
    rows = ["path,label,fold", f"broken.wav,{LABELS[0]},1"]
    for seed in range(12):
        label, fold = LABELS[seed % 3], 1 + seed // 6
        (folder / f"{seed}.wav").write_bytes(wav(sound(label, seed)))
        rows.append(f"{seed}.wav,{label},{fold}")
    (folder / "sounds.csv").write_text("\n".join(rows))
    return folder


@pytest.fixture(scope="module")
def recipe(folder: Path) -> Recipe:
    return load_recipe(str(folder / "recipe.toml"))


@pytest.fixture(scope="module")
def dataset(folder: Path) -> Dataset:
    return load_dataset(folder / "sounds.csv")


class Watched:
    """Notes which pieces of work begin."""

    def __init__(self) -> None:
        self.begun: list[str] = []

    def __call__(self, what: str, units: int) -> Any:
        self.begun.append(what)
        return silent(what, units)

    @property
    def fits(self) -> list[str]:
        return [what for what in self.begun if "fitting" in what]


@pytest.fixture(scope="module")
def arms(folder: Path, recipe: Recipe, dataset: Dataset) -> list[Arm]:
    run = prepare(recipe, dataset, "auto", False, folder / "cache", silent)
    return list(ablate(run, folder / "cache", silent))


@pytest.mark.slow
def test_each_arm_is_fitted_and_has_a_result_of_its_own(arms: list[Arm]) -> None:
    assert [arm.name for arm in arms] == [
        "none", "only mixup_alpha", "only waveform.gain", "all",
    ]  # fmt: skip
    losses = [arm.result.rounds[0].history["loss"] for arm in arms]
    assert len({tuple(of_arm) for of_arm in losses}) == 4
    assert all(set(arm.by_label) == set(LABELS) for arm in arms)


def test_the_results_say_what_a_random_split_promises(tiny: TinyModel, recipe: Recipe) -> None:
    result = CrossValidation.model_validate_json((tiny.version / "metrics.json").read_bytes())
    at_random = result.model_copy(update={"warning": "Random split"})
    written = ablation_json(recipe, "sounds", [Arm(name="none", changes=[], result=at_random)])
    assert json.loads(written)["warning"] == "Random split"


@pytest.mark.slow
def test_what_was_interrupted_goes_on_where_it_was(
    folder: Path, recipe: Recipe, dataset: Dataset, arms: list[Arm]
) -> None:
    cache = folder / "cache"
    kept = sorted((cache / "ablations").iterdir())
    assert len(kept) == 4
    whole = kept[0].read_text()
    kept[0].write_text(whole[:100])  # as a full disk leaves it
    kept[1].unlink()
    watched = Watched()
    run = prepare(recipe, dataset, "auto", False, cache, watched)
    assert list(ablate(run, cache, watched)) == arms
    assert len(watched.fits) == 4  # two arms of two rounds
    assert kept[0].read_text() == whole
    renamed = run.recipe.model_copy(update={"name": "other"})
    again = Watched()
    run = prepare(renamed, dataset, "auto", False, cache, again)
    assert list(ablate(run, cache, again)) == arms
    assert again.fits == []


@pytest.mark.slow
def test_another_seed_or_other_data_is_fitted_anew(
    folder: Path, recipe: Recipe, dataset: Dataset, arms: list[Arm]
) -> None:
    assert arms
    cache = folder / "cache"
    other_seed = recipe.model_copy(
        update={"training": recipe.training.model_copy(update={"seed": 1})}
    )
    fewer = Dataset(dataset.name, dataset.licence, dataset.clips[:-1])
    for changed, data in ((other_seed, dataset), (recipe, fewer)):
        watched = Watched()
        run = prepare(changed, data, "auto", False, cache, watched)
        next(ablate(run, cache, watched))
        assert len(watched.fits) == 2


@pytest.mark.slow
def test_the_command_prints_tables_and_writes_what_they_say(
    hark_train: HarkTrain, folder: Path, arms: list[Arm]
) -> None:
    out = folder / "results" / "ablation.json"
    finished = hark_train(
        "ablate", folder / "recipe.toml", "--data", folder / "sounds.csv",
        "--cache", folder / "cache", "--by-label", "--out", out,
    )  # fmt: skip
    assert finished.status == 0, finished.complaints
    written = json.loads(out.read_text())
    assert [line["name"] for line in written["arms"]] == [arm.name for arm in arms]
    for line, arm in zip(written["arms"], arms, strict=True):
        assert line["accuracy_mean"] == arm.result.accuracy_mean
        assert line["accuracy_difference"] == pytest.approx(
            arm.result.accuracy_mean - arms[0].result.accuracy_mean
        )
        assert f"{arm.result.accuracy_mean:.4f} ± " in finished.output
        assert set(line["recall_by_label"]) == set(LABELS)
        assert set(line["accuracies"]) == {"1", "2"}
    assert "from none" in finished.output
    assert "1 files cannot be used, and are left out" in finished.complaint
    assert "by label" in finished.output


def test_a_starting_point_is_looked_for_in_the_store(
    hark_train: HarkTrain, tiny: TinyModel, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is found there: what the complaint is about comes after that."""
    monkeypatch.setenv("HARK_MODEL_STORE", str(tiny.store))
    finished = hark_train(
        *("ablate", "fine-tune", "--set", f"starting_point={tiny.reference}"),
        *("--data", folder / "sounds.csv", "--cache", folder / "cache"),
    )
    assert finished.complaint.startswith("hark-train: the recipe has no augmentation")


MISTAKES = {
    "no augmentation": (
        RECIPE.partition("[augmentation]")[0],
        [],
        "the recipe has no augmentation to take apart",
    ),
    "a fold that is not there": (RECIPE, ["--folds", "1,7"], "sounds has no fold 7; it has: 1, 2"),
    "a single fold": (RECIPE, ["--folds", "1"], "two are needed"),
    "a label that is not there": (
        ABLATED + "[augmentation.waveform.by_label.siren]\ngain = false\n",
        [],
        "names siren, which no clip is labelled",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_sentence(
    hark_train: HarkTrain, folder: Path, tmp_path: Path, mistake: str
) -> None:
    text, options, expected = MISTAKES[mistake]
    (tmp_path / "recipe.toml").write_text(text)
    finished = hark_train(
        "ablate", tmp_path / "recipe.toml", "--data", folder / "sounds.csv",
        "--cache", tmp_path / "cache", *options,
    )  # fmt: skip
    assert finished.status == 1
    assert finished.complaint.startswith("hark-train: ")
    assert expected in finished.complaint
    assert finished.output == ""
