"""Sweep: values of a recipe's fields, searched for the best accuracy on validation parts.

A trial is the recipe with values of its own. In each round of a cross-validation it is fitted on
the training parts and judged by the validation part, at the epoch of its lowest loss; the round's
test part takes no part. A trial that after some round is worse than half of those before it ends
there.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any, Final

import optuna
import tomli_w
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from app.progress import Advance, Begin
from training import runs
from training.datasets import Dataset, DatasetError
from training.features_cache import DatasetFeatures
from training.recipe import read_tables
from training.recipe_error import RecipeError
from training.rounds import RoundWork, stop_early
from training.run_error import RunError
from training.run_identity import default_folder
from training.splits import SplitKind
from training.sweep_data import TrialData
from training.sweep_plan import Plan, claim, identity_of_sweep
from training.sweep_pruner import BelowMedian
from training.sweep_trials import EPOCHS, REASON, Trial, as_trial, text_of, trials_csv
from training.workers import Places
from training.written_whole import write_whole

N_STARTUP: Final = 10  # trials drawn by chance, before the search learns from what there is
_ENOUGH_FOR_IMPORTANCE: Final = 10


@dataclass(frozen=True, slots=True)
class _Validated:
    """How a round's model did on its validation part at its best epoch."""

    accuracy: float
    epochs: int


@dataclass(frozen=True, slots=True)
class _Outcome:
    """How a trial ended. The search is told when its whole batch is done, and not before.

    So an interruption leaves whole batches behind, and the next begins where it would have.
    """

    state: TrialState
    accuracy: float | None = None
    reason: str = ""


@dataclass(slots=True)
class _Fitting:
    """A trial that is being fitted, and what its rounds have come to."""

    trial: optuna.Trial
    run: runs.Run
    rounds: list[_Validated]


class Sweep:
    """A search in a folder, which can be gone on with.

    Args:
        plan: what is searched.
        run: the recipe itself, with its data.
        dataset: the data as it was read, for recipes with a front end of their own.
        folder: where the trials are kept; by default one below `runs`.
        resume: go on with what is there, else refuse it.

    Raises:
        RunError: the folder holds another sweep, or one that is not to be resumed, or the data has
            too few parts.
    """

    def __init__(
        self, plan: Plan, run: runs.Run, dataset: Dataset, folder: Path | None, resume: bool
    ) -> None:
        if len(run.folds.names) < 3:
            raise RunError(
                "a sweep needs three folds or more: one to fit on, one to validate on, and one to "
                "test with later"
            )
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._plan = plan
        self._run = run
        self._dataset = dataset
        identity = identity_of_sweep(plan, run)
        self.folder = folder or default_folder(f"sweep-{run.recipe.name}", identity)
        claim(self.folder, identity, resume)
        self._study = optuna.create_study(
            storage=JournalStorage(JournalFileBackend(str(self.folder / "trials.journal"))),
            study_name="sweep",
            direction="maximize",
            load_if_exists=True,
            pruner=BelowMedian(n_startup_trials=5),
        )
        for trial in self._study.get_trials(states=(TrialState.RUNNING,)):
            self._study.tell(trial.number, state=TrialState.FAIL)  # without a reason: interrupted

    @property
    def trials(self) -> list[Trial]:
        """What has been tried, in order."""
        return [as_trial(number, found) for number, found in enumerate(self._found(), 1)]

    @property
    def best(self) -> Trial:
        """The trial of the highest accuracy; the first of several.

        Raises:
            RunError: none was fitted to the end.
        """
        trials = self.trials
        fitted = [trial for trial in trials if trial.state == "complete"]
        if not fitted:
            reason = next((trial.reason for trial in trials if trial.reason), "none was tried")
            raise RunError(f"none of {len(trials)} trials could be fitted: {reason}")
        return max(fitted, key=lambda trial: trial.accuracy or 0.0)

    def importances(self) -> dict[str, float]:
        """Return each field's share in what made trials differ, adding up to 1.

        By PED-ANOVA (Watanabe, Bansal and Hutter, IJCAI 2023). Empty where trials are too few.
        """
        complete = self._study.get_trials(states=(TrialState.COMPLETE,))
        if len(complete) < _ENOUGH_FOR_IMPORTANCE or len(self._plan.space) < 2:
            return {}
        return dict(optuna.importance.get_param_importances(self._study))

    def search(
        self, strict: bool, split: SplitKind, cache: Path | None, places: Places, begin: Begin
    ) -> Iterator[Trial]:
        """Try values until there are as many trials as planned; yield each when its batch is done.

        Args:
            strict: as for `runs.prepare`, of trials with a front end of their own.
            split: likewise.
            cache: likewise.
            places: who computes features, and fits.
            begin: is told of each fit.
        """
        ready = TrialData(self._run, self._dataset, split, strict, cache, places, begin)
        n_rounds = len(self._run.folds.names)
        done = len(self._found())
        advance = begin("fits", n_rounds * max(0, self._plan.trials - done))
        while done < self._plan.trials:
            # Seeded anew for each batch: a sweep that is resumed proposes what it would have.
            seed = int.from_bytes(hashlib.sha256(f"{self._plan.seed} {done}".encode()).digest()[:4])
            self._study.sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=N_STARTUP)
            spaces = {each.field: each.distribution() for each in self._plan.space}
            n_asked = min(self._plan.batch, self._plan.trials - done)
            asked = [self._study.ask(spaces) for _ in range(n_asked)]
            self._fit(asked, ready, places, advance)
            yield from self.trials[done:]
            done += n_asked

    def _fit(
        self, asked: list[optuna.Trial], ready: TrialData, places: Places, advance: Advance
    ) -> None:
        """Fit a batch of trials, round by round, then tell the search what they came to."""
        outcomes: dict[int, _Outcome] = {}
        fitting = []
        n_rounds = len(self._run.folds.names)
        for trial in asked:
            begun = self._begun(trial, ready)
            if isinstance(begun, _Fitting):
                fitting.append(begun)
                continue
            outcomes[trial.number] = begun
            for _ in range(n_rounds):
                advance("")
        for step in range(n_rounds):
            validated = _validate_round(fitting, step, places)
            going_on = []
            for each, result in zip(fitting, validated, strict=True):
                outcome = _taken_in(each, result, step)
                note = f"accuracy {_mean(each.rounds):.3f}" if each.rounds else ""
                for _ in range(1 if outcome is None else n_rounds - step):
                    advance(note)
                if outcome is None:
                    going_on.append(each)
                else:
                    outcomes[each.trial.number] = outcome
            fitting = going_on
        for trial in asked:
            self._tell(trial, outcomes[trial.number])

    def _begun(self, trial: optuna.Trial, ready: TrialData) -> _Fitting | _Outcome:
        """Return a trial that is to be fitted, or how it ended: refused, or known already."""
        for known in self._study.get_trials(states=(TrialState.COMPLETE,)):
            if known.params == trial.params:
                trial.set_user_attr(EPOCHS, known.user_attrs[EPOCHS])
                for step, value in known.intermediate_values.items():
                    trial.report(value, step)
                return _Outcome(TrialState.COMPLETE, known.value)
        try:
            recipe = self._plan.recipe_with(_changes(trial.params))
            return _Fitting(trial, ready.run_of(recipe), [])
        except (RecipeError, DatasetError) as error:
            return _Outcome(TrialState.FAIL, reason=str(error))

    def _tell(self, trial: optuna.Trial, outcome: _Outcome) -> None:
        if outcome.reason:
            trial.set_user_attr(REASON, " ".join(outcome.reason.split()))  # a table has lines
        self._study.tell(trial, outcome.accuracy, state=outcome.state)

    def _found(self) -> list[FrozenTrial]:
        """Return the trials that are done, without those that an interruption ended."""
        return [
            trial
            for trial in self._study.get_trials()
            if trial.state in (TrialState.COMPLETE, TrialState.PRUNED) or REASON in trial.user_attrs
        ]

    def write(self, command: str) -> None:
        """Write the best recipe, `best.toml`, and all trials, `trials.csv`.

        Raises:
            RunError: no trial was fitted to the end.
        """
        fields = [each.field for each in self._plan.space]
        write_whole(self.folder / "trials.csv", trials_csv(self.trials, fields))
        best = self.best
        changes = [f"{field}={text}" for field, text in best.values.items()]
        tables = read_tables(self._plan.recipe, (*self._plan.changes, *changes))
        tables["name"] = f"{tables['name'].removesuffix('-swept')}-swept"
        before = f" Before that: {self._run.recipe.choices}" if self._run.recipe.choices else ""
        tables["choices"] = (
            f"the best of {len(self.trials)} trials, by accuracy on validation parts of "
            f"{self._dataset.name} ({', '.join(self._run.folds.names)}), so its figures on these "
            f"are a little kind.{before}"
        )
        comments = [
            f"The best of {len(self.trials)} trials on {self._dataset.name}: accuracy "
            f"{best.accuracy:.4f} on validation parts,",
            "which is optimistic of the best of several. By:",
            f"  {command}",
        ]
        if self._run.folds.warning:
            comments.append(self._run.folds.warning)
        heading = "".join(f"# {line}\n" for line in comments)
        write_whole(self.folder / "best.toml", f"{heading}\n{tomli_w.dumps(tables)}")


def _taken_in(fitting: _Fitting, result: _Validated | str, step: int) -> _Outcome | None:
    """Take in what a round came to; return how the trial ended, or None where it goes on."""
    if isinstance(result, str):
        return _Outcome(TrialState.FAIL, reason=result)
    trial = fitting.trial
    fitting.rounds.append(result)
    accuracy = _mean(fitting.rounds)
    trial.set_user_attr(EPOCHS, [each.epochs for each in fitting.rounds])
    trial.report(accuracy, step)
    if len(fitting.rounds) == len(fitting.run.folds.names):
        return _Outcome(TrialState.COMPLETE, accuracy)
    return _Outcome(TrialState.PRUNED) if trial.should_prune() else None


def _validate_round(
    fitting: Sequence[_Fitting], step: int, places: Places
) -> list[_Validated | str]:
    """Fit a round of several trials at once, those of the same data together."""
    results: dict[int, _Validated | str] = {}
    by_data: dict[int, list[_Fitting]] = {}
    for each in fitting:
        by_data.setdefault(id(each.run.data), []).append(each)
    for together in by_data.values():
        works = [
            RoundWork(each.run.recipe, each.run.folds.rounds()[step], each.run.dataset.labels)
            for each in together
        ]
        validated = places.fits.run(validate, together[0].run.data, works)
        for each, result in zip(together, validated, strict=True):
            results[each.trial.number] = result
    return [results[each.trial.number] for each in fitting]


def validate(data: DatasetFeatures, work: RoundWork) -> _Validated | str:
    """Fit a round's first model; return how it did on the validation part, or why it cannot be."""
    try:
        fitted = stop_early(data, work)
    except RecipeError as error:
        return str(error)
    assert fitted is not None  # with three parts or more, there is one to validate on
    return _Validated(fitted.history["val_accuracy"][fitted.epochs - 1], fitted.epochs)


def _mean(rounds: Sequence[_Validated]) -> float:
    return mean(each.accuracy for each in rounds)


def _changes(params: dict[str, Any]) -> list[str]:
    return [f"{field}={text_of(value)}" for field, value in params.items()]
