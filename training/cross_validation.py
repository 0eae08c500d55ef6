"""Cross-validation: each part of the data takes its turn as the test set.

What ships is fitted as long as the rounds found best. It is calibrated by what each round's model
says of its own test part: of clips that it has not heard, by models that were fitted on nearly as
much as the one that ships. (The models that are stopped early have heard less, and are surer of
themselves: a temperature fitted on their answers took UrbanSound8K's calibration error from 0.041
to 0.100.) The figures of each test part are measured with the calibration of the other rounds.
"""

from dataclasses import dataclass, replace
from statistics import mean, median, pstdev

from app.inference.artifact import Calibration
from training.calibration import (
    Reliability,
    expected_calibration_error,
    fit_calibration,
    measure_marks,
    pool_outputs,
    reliability_bins,
)
from training.evaluate import Predictions, measure, pool_predictions
from training.features_cache import DatasetFeatures
from training.fit_place import NOWHERE, FitPlace
from training.recipe import Recipe
from training.results import CrossValidation, RoundResult
from training.rounds import FittedRound, RoundWork, TestWork, fit_round, test_round
from training.splits import Folds
from training.time_left import with_time_left
from training.workers import THIS_MACHINE, ToldHere, Workers, counted


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a cross-validation came to.

    Attributes:
        figures: how well the recipe does; what `metrics.json` holds.
        answers: what they were counted from: for each round, in order, what its model said of its
            test part, calibrated by the other rounds.
    """

    figures: CrossValidation
    answers: tuple[Predictions, ...]


def cross_validate(
    recipe: Recipe,
    data: DatasetFeatures,
    folds: Folds,
    labels: list[str],
    place: FitPlace = NOWHERE,
    workers: Workers = THIS_MACHINE.fits,
) -> Outcome:
    """Fit, calibrate and test a model for each part of the data.

    Args:
        recipe: decides the models.
        data: all clips.
        folds: which of them are in each part.
        labels: what the models' outputs mean, in order.
        place: who is told how it goes on, and what is kept of the fits.
        workers: who fits and tests; by default this process, one part after the other.

    Returns:
        The rounds' figures, with `epochs` being the median of theirs: for how long to fit on
        everything. And the answers that were counted.
    """
    turns = folds.rounds()
    counted_first = recipe.training.counts_epochs
    n_fits = sum(
        recipe.training.networks + (counted_first and len(turn.validation) > 0) for turn in turns
    )
    begin = place.begin
    of_fits = replace(place, begin=ToldHere(with_time_left(begin, n_fits, recipe.training.epochs)))
    fits = [RoundWork(recipe, turn, labels, of_fits) for turn in turns]
    rounds = counted(workers.run(fit_round, data, fits), begin("folds fitted", len(turns)))
    calibrations = [calibration_without(fitted, rounds) for fitted in rounds]
    tests = [
        TestWork(recipe, fitted, labels, calibration, ToldHere(begin))
        for fitted, calibration in zip(rounds, calibrations, strict=True)
    ]
    answers = counted(workers.run(test_round, data, tests), begin("folds tested", len(turns)))
    uncalibrated = pool_predictions([each.uncalibrated for each in answers])
    by_round = [each.calibrated for each in answers]
    tested = pool_predictions(by_round)
    results = [
        RoundResult(
            test=fitted.turn.name,
            epochs=fitted.epochs,
            calibration=calibration,
            metrics=measure(predictions, labels),
            history=fitted.history,
        )
        for fitted, calibration, predictions in zip(rounds, calibrations, by_round, strict=True)
    ]
    accuracies = [result.metrics.accuracy for result in results]
    figures = CrossValidation(
        protocol=_protocol_in_words(folds, recipe),
        warning=folds.warning,
        split=folds.digest_of(data.clips),
        labels=labels,
        rounds=results,
        accuracy_mean=mean(accuracies),
        accuracy_deviation=pstdev(accuracies),
        macro_f1_mean=mean(result.metrics.macro_f1 for result in results),
        epochs=round(median(result.epochs for result in results)),
        calibration=fit_calibration(pool_outputs([fitted.outputs for fitted in rounds])),
        ece_before=expected_calibration_error(uncalibrated.confidence, uncalibrated.right),
        ece_after=expected_calibration_error(tested.confidence, tested.right),
        reliability=Reliability(
            before=reliability_bins(uncalibrated.confidence, uncalibrated.right),
            after=reliability_bins(tested.confidence, tested.right),
        ),
        marks=measure_marks(tested.uncertain, tested.right),
        together=measure(tested, labels),
    )
    return Outcome(figures, tuple(by_round))


def calibration_without(left_out: FittedRound, rounds: list[FittedRound]) -> Calibration:
    """Fit a calibration on the test parts of all rounds but one."""
    return fit_calibration(
        pool_outputs([fitted.outputs for fitted in rounds if fitted is not left_out])
    )


def _protocol_in_words(folds: Folds, recipe: Recipe) -> str:
    kept = {
        "folds": "the data's official folds",
        "groups": "parts that keep each group of clips together",
        "random": "random parts, stratified by label",
    }[folds.kind]
    stopped = (
        "epochs counted on a validation part apart from the test part, then refitted on both"
        if len(folds.names) > 2 and recipe.training.counts_epochs
        else "fitted for a fixed number of epochs"
    )
    return (
        f"{len(folds.names)}-fold cross-validation over {kept}; {stopped}; "
        "test clips classified from their files' bytes"
    )
