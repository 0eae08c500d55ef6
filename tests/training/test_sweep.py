"""Sweeps: what is searched, what judges it, and that the same sweep finds the same."""

import csv
import shutil
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import optuna
import pytest

from app.progress import silent
from tests.tiny_model import RECIPE, SAVING_WARNS, TinyModel
from tests.training.test_cli import HarkTrain
from tests.training.test_cli import hark_train as hark_train
from training import runs
from training.datasets import Dataset, load_dataset
from training.recipe import load_recipe
from training.recipe_error import RecipeError
from training.rounds import RoundWork, stop_early
from training.run_error import RunError
from training.search_space import Choice, Range, read_space
from training.sweep import Sweep
from training.sweep_plan import Plan
from training.sweep_pruner import BelowMedian
from training.sweep_trials import Trial
from training.workers import InThisProcess, Piece, Places, ProcessPool, Result, Shared

pytestmark = SAVING_WARNS

RATES = "training.learning_rate=0.005..0.1:log"
UNITS = "model.options.units=[4],[6]"


@pytest.mark.parametrize(
    ("search", "expected"),
    [
        pytest.param("a.b=1..5", Range("a.b", 1, 5, log=False), id="whole numbers"),
        pytest.param("a=1e-4..0.1:log", Range("a", 1e-4, 0.1, log=True), id="by factors"),
        pytest.param("a=-2..0.5", Range("a", -2, 0.5, log=False), id="below 0"),
        pytest.param("a=adam,sgd", Choice("a", ("adam", "sgd")), id="words"),
        pytest.param("a=[1,2],[3]", Choice("a", ("[1, 2]", "[3]")), id="lists"),
        pytest.param("a=true, false", Choice("a", ("true", "false")), id="truths"),
        pytest.param("a=1,2.5,1", Choice("a", ("1", "2.5")), id="a value twice"),
    ],
)
def test_a_search_is_read(search: str, expected: Range | Choice) -> None:
    assert read_space([search]) == (expected,)


@pytest.mark.parametrize(
    ("searches", "complaint"),
    [
        pytest.param([], "needs a --search", id="none"),
        pytest.param(["a"], "searches no field", id="no value"),
        pytest.param(["=1..2"], "searches no field", id="no field"),
        pytest.param(["a=5..1"], "is empty", id="upside down"),
        pytest.param(["a=2..2"], "is empty", id="of one value"),
        pytest.param(["a=0..1:log"], "above 0", id="factors of 0"),
        pytest.param(["a=x..y"], "no numbers", id="words"),
        pytest.param(["a=1..inf"], "no numbers", id="endless"),
        pytest.param(["a=1"], "leaves no choice", id="a single value"),
        pytest.param(["a=1..2", "a=3,4"], "a twice", id="twice"),
    ],
)
def test_a_search_that_makes_no_sense_is_refused(searches: list[str], complaint: str) -> None:
    with pytest.raises(RecipeError, match=complaint):
        read_space(searches)


@dataclass(frozen=True, slots=True)
class Sounds:
    """The tiny model's data, made ready for a hasty recipe."""

    recipe: Path
    dataset: Dataset
    cache: Path
    run: runs.Run

    def plan(self, *searches: str, trials: int, batch: int = 2) -> Plan:
        space = read_space(searches)
        return Plan(str(self.recipe), (), space, trials, batch, seed=0, store=Path("none"))

    def sweep(self, plan: Plan, folder: Path, *, resume: bool = False) -> Sweep:
        return Sweep(plan, self.run, self.dataset, folder, resume)

    def search(self, sweep: Sweep, places: Places) -> list[Trial]:
        return list(sweep.search(False, "auto", self.cache, places, silent))


@pytest.fixture(scope="module")
def sounds(tiny: TinyModel, tmp_path_factory: pytest.TempPathFactory) -> Sounds:
    path = tmp_path_factory.mktemp("sweep") / "hasty.toml"
    path.write_text(
        RECIPE.replace("epochs = 8", "epochs = 2")
        .replace('architecture = "cnn"', 'architecture = "dense"')
        .replace("filters = [16]", "average_frames = true")
        .replace("pool_sizes = [[2, 2]]", "units = [4]")
        .replace("dropout = [0.0]", "dropout = 0.0")
    )
    dataset, recipe = load_dataset(tiny.data), load_recipe(str(path))
    run = runs.prepare(recipe, dataset, "auto", False, tiny.cache, silent, HERE)
    return Sounds(path, dataset, tiny.cache, run)


class Ended:
    """Workers that are interrupted when they have done so many runs."""

    def __init__(self, runs: int) -> None:
        self._left = runs

    def run(
        self,
        work: Callable[[Shared, Piece], Result],
        shared: Shared,
        pieces: Sequence[Piece],
    ) -> Iterator[Result]:
        if self._left == 0:
            raise KeyboardInterrupt
        self._left -= 1
        return InThisProcess().run(work, shared, pieces)


HERE = Places(files=ProcessPool(1), fits=InThisProcess())


@pytest.fixture(scope="module")
def searched(sounds: Sounds, tmp_path_factory: pytest.TempPathFactory) -> Sweep:
    """A sweep of two trials, one after the other."""
    sweep = sounds.sweep(
        sounds.plan(RATES, UNITS, trials=2, batch=1), tmp_path_factory.mktemp("searched") / "out"
    )
    sounds.search(sweep, HERE)
    sweep.write("hark-train sweep")
    return sweep


@pytest.mark.slow
def test_a_sweep_that_is_interrupted_goes_on_to_the_same_trials(
    sounds: Sounds, searched: Sweep, tmp_path: Path
) -> None:
    """In the second trial's second round: the first trial is kept, the second fitted anew."""
    plan = sounds.plan(RATES, UNITS, trials=2, batch=1)
    with pytest.raises(KeyboardInterrupt):
        sounds.search(sounds.sweep(plan, tmp_path), Places(files=ProcessPool(1), fits=Ended(3 + 1)))
    resumed = sounds.sweep(plan, tmp_path, resume=True)
    assert resumed.trials == searched.trials[:1]
    sounds.search(resumed, HERE)
    assert resumed.trials == searched.trials
    assert [trial.number for trial in resumed.trials] == [1, 2]


def test_a_batch_that_is_interrupted_after_a_refusal_is_proposed_anew(
    sounds: Sounds, tmp_path: Path
) -> None:
    """Before any fit, one trial of the first batch is refused; the interruption comes then."""
    searches = ["front_end.features.n_mfcc=13,5000", "model.options.units=-1,-2", RATES]
    plan = replace(sounds.plan(*searches, trials=4), seed=1)
    expected = sounds.search(sounds.sweep(plan, tmp_path / "whole"), HERE)
    tried = {trial.values["front_end.features.n_mfcc"] for trial in expected[: plan.batch]}
    assert tried == {"13", "5000"}
    interrupted = sounds.sweep(plan, tmp_path / "ended")
    with pytest.raises(KeyboardInterrupt):
        sounds.search(interrupted, Places(files=ProcessPool(1), fits=Ended(0)))
    resumed = sounds.sweep(plan, tmp_path / "ended", resume=True)
    sounds.search(resumed, HERE)
    assert resumed.trials == expected


def test_validation_parts_judge_and_test_parts_do_not(sounds: Sounds, searched: Sweep) -> None:
    """What a round comes to is its validation part's accuracy, whatever its test part holds."""
    trial = searched.trials[0]
    changes = [f"{field}={text}" for field, text in trial.values.items()]
    recipe = load_recipe(str(sounds.recipe), changes)
    accuracies = []
    for turn in sounds.run.folds.rounds():
        features = sounds.run.data.features.copy()
        features[np.isin(sounds.run.data.clip_of_window, turn.test)] = np.nan
        spoilt = replace(sounds.run.data, features=features)
        fitted = stop_early(spoilt, RoundWork(recipe, turn, sounds.run.dataset.labels))
        assert fitted is not None
        accuracies.append(fitted.history["val_accuracy"][fitted.epochs - 1])
    assert trial.accuracy == pytest.approx(mean(accuracies), abs=1e-12)


def test_the_best_recipe_is_one_that_fits(searched: Sweep) -> None:
    best = load_recipe(str(searched.folder / "best.toml"))
    assert best.name == "tiny-swept"
    assert repr(best.training.learning_rate) == searched.best.values["training.learning_rate"]
    text = (searched.folder / "best.toml").read_text()
    assert text.startswith("# The best of 2 trials on sounds: accuracy 0.")
    assert best.choices.startswith(
        "the best of 2 trials, by accuracy on validation parts of sounds ("
    )
    assert tomllib.loads(text)["augmentation"] == {"time_shift": True, "mixup_alpha": 0.2}
    with (searched.folder / "trials.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["trial"] for row in rows] == ["1", "2"]
    assert max(float(row["accuracy"]) for row in rows) == searched.best.accuracy


def test_the_best_recipe_of_a_random_split_says_so(
    sounds: Sounds, searched: Sweep, tmp_path: Path
) -> None:
    shutil.copy(searched.folder / "trials.journal", tmp_path)
    at_random = replace(sounds.run, folds=replace(sounds.run.folds, kind="random"))
    plan = sounds.plan(RATES, UNITS, trials=2, batch=1)
    Sweep(plan, at_random, sounds.dataset, tmp_path, resume=True).write("hark-train sweep")
    assert "\n# Random split, " in (tmp_path / "best.toml").read_text()


@pytest.mark.slow
def test_what_was_fitted_is_not_fitted_again(sounds: Sounds, tmp_path: Path) -> None:
    """Of two choices, four trials try some twice: each of them takes three rounds, once."""
    sweep = sounds.sweep(sounds.plan(UNITS, trials=4, batch=1), tmp_path)
    sounds.search(sweep, Places(files=ProcessPool(1), fits=Ended(6)))
    accuracies = {trial.values["model.options.units"]: trial.accuracy for trial in sweep.trials}
    assert len(sweep.trials) == 4
    assert set(accuracies) == {"[4]", "[6]"}
    assert all(
        trial.accuracy == accuracies[trial.values["model.options.units"]]
        for trial in sweep.trials
        if trial.state == "complete"
    )


@pytest.mark.parametrize(
    ("means", "ended"),
    [
        pytest.param([0.9, 0.4], True, id="a good beginning"),
        pytest.param([0.4, 0.6], False, id="a bad beginning"),
        pytest.param([0.5], False, id="as good as the median"),
    ],
)
def test_a_trial_ends_where_its_mean_so_far_is_below_the_median(
    means: list[float], ended: bool
) -> None:
    study = optuna.create_study(direction="maximize", pruner=BelowMedian(n_startup_trials=3))
    for accuracy in (0.3, 0.5, 0.7):
        values = {0: accuracy, 1: accuracy, 2: accuracy}
        study.add_trial(optuna.create_trial(value=accuracy, intermediate_values=values))
    trial = study.ask()
    for step, value in enumerate(means):
        trial.report(value, step)
    assert trial.should_prune() is ended


def test_no_trial_ends_early_while_few_are_complete() -> None:
    study = optuna.create_study(direction="maximize", pruner=BelowMedian(n_startup_trials=2))
    study.add_trial(optuna.create_trial(value=0.9, intermediate_values={0: 0.9}))
    trial = study.ask()
    trial.report(0.1, step=0)
    assert not trial.should_prune()


def test_a_trial_that_cannot_be_fitted_is_refused_and_the_sweep_goes_on(
    sounds: Sounds, tmp_path: Path
) -> None:
    search = "front_end.features.n_mfcc=13,5000"
    sweep = sounds.sweep(sounds.plan(search, trials=4, batch=1), tmp_path)
    found = sounds.search(sweep, HERE)
    by_value = {trial.values["front_end.features.n_mfcc"]: trial for trial in found}
    assert by_value["5000"].state == "refused"
    assert "n_mfcc" in by_value["5000"].reason
    assert sweep.best == next(trial for trial in found if trial.state == "complete")


def test_where_all_trials_are_refused_the_reason_is_told(sounds: Sounds, tmp_path: Path) -> None:
    sweep = sounds.sweep(sounds.plan("model.options.units=-1,-2", trials=2), tmp_path)
    sounds.search(sweep, HERE)
    with pytest.raises(
        RunError, match=r"none of 2 trials could be fitted: options of dense: .* units Input"
    ):
        sweep.write("hark-train sweep")


@pytest.mark.parametrize(
    ("changes", "resume", "complaint"),
    [
        pytest.param({}, False, "holds this sweep: go on with it by --resume", id="not resumed"),
        pytest.param({"seed": 1}, True, "a sweep of another search: name another", id="another"),
    ],
)
def test_a_folder_that_holds_a_sweep_is_not_overwritten(
    sounds: Sounds, searched: Sweep, changes: dict[str, Any], resume: bool, complaint: str
) -> None:
    plan = replace(sounds.plan(RATES, UNITS, trials=2, batch=1), **changes)
    with pytest.raises(RunError, match=complaint):
        sounds.sweep(plan, searched.folder, resume=resume)


def test_two_folds_leave_none_to_validate_on(sounds: Sounds, tmp_path: Path) -> None:
    folds = replace(sounds.run.folds, names=("1", "2"))
    with pytest.raises(RunError, match="needs three folds or more"):
        Sweep(
            sounds.plan(RATES, trials=1),
            replace(sounds.run, folds=folds),
            sounds.dataset,
            tmp_path,
            resume=False,
        )


@pytest.mark.parametrize(
    "field", ["training.learning_speed", "model.options.filtres", "augmentation.gain"]
)
def test_an_unknown_field_is_refused_before_any_work(
    hark_train: HarkTrain, tiny: TinyModel, tmp_path: Path, field: str
) -> None:
    finished = hark_train(
        *("sweep", tiny.recipe, "--data", tiny.data, "--trials", "2"),
        *("--search", f"{field}=1..2", "--cache", tmp_path / "cache"),
    )
    assert finished.status == 1
    assert f"hark-train: --search {field}: " in finished.complaint
    assert not (tmp_path / "cache").exists()


def test_values_that_suit_each_other_alone_can_be_searched() -> None:
    """Of other lengths than the recipe's, they are refused one by one; together they are not."""
    searches = ["filters=[8,16],[8,16,32]", "pool_sizes=[[2,2],[2,2]],[[2,2],[2,2],[2,2]]"]
    space = read_space([f"model.options.{search}" for search in searches])
    Plan("mfcc-cnn", (), space, 2, 2, seed=0, store=Path("none")).check()


@pytest.mark.parametrize(
    ("search", "reason"),
    [
        pytest.param("training.networks=1..3", "a trial fits one network", id="how many networks"),
        pytest.param("model.members=[],[{}]", "a trial fits one network", id="in what they differ"),
        pytest.param("training.seed=0..9", "is the luckiest", id="luck"),
        pytest.param("starting_point=urbansound,esc10", "what can test it", id="other beginnings"),
    ],
)
def test_some_fields_are_not_to_be_searched(search: str, reason: str) -> None:
    plan = Plan("mfcc-cnn", (), read_space([search]), 2, 2, seed=0, store=Path("none"))
    with pytest.raises(RecipeError, match=reason):
        plan.check()


def test_the_command_shows_trials_and_best_and_says_what_the_figure_is_worth(
    hark_train: HarkTrain, sounds: Sounds, tiny: TinyModel, searched: Sweep
) -> None:
    """The sweep that is done already, taken up by the command: nothing is left to fit."""
    finished = hark_train(
        *("sweep", sounds.recipe, "--data", tiny.data, "--cache", tiny.cache, "--trials", "2"),
        *("--search", RATES, "--search", UNITS, "--batch", "1", "--store", "none"),
        *("--out", searched.folder, "--resume"),
    )
    assert finished.status == 0, finished.complaint
    assert "best on validation parts" in finished.output
    assert f"Best recipe: {searched.folder / 'best.toml'}" in finished.output
    assert "The best of 2 validation accuracies is optimistic" in finished.complaint
    assert f"hark-train cross-validate {searched.folder / 'best.toml'}" in finished.complaint
