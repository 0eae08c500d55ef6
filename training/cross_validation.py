"""Cross-validation: each part of the data takes its turn as the test set.

A round goes in two steps. First a model is fitted on the training parts and stopped early by the
validation part, which tells how many epochs to take. Then a fresh model is fitted for so many
epochs on training and validation parts together, and classifies the test part, from bytes. The
test part takes no part in any choice.
"""

import tempfile
from pathlib import Path
from statistics import mean, median, pstdev

import numpy as np
from pydantic import BaseModel, ConfigDict

from app.audio.frontend import FrontEnd
from app.inference.classifier import Classifier
from app.inference.keras_engine import KerasEngine
from app.inference.store import ModelReference
from training.evaluate import Metrics, Predictions, measure, predict
from training.features_cache import DatasetFeatures
from training.fit import FittedModel, fit_model, report_epochs, select_examples
from training.progress import Begin, silent
from training.recipe import Recipe
from training.splits import Folds, Round


class RoundResult(BaseModel):
    """One round's test part, how the model did on it, and how it was fitted."""

    model_config = ConfigDict(frozen=True)

    test: str
    epochs: int
    metrics: Metrics
    history: dict[str, list[float]]


class CrossValidation(BaseModel):
    """All rounds, and all test clips together.

    `accuracy_mean` and `accuracy_deviation` (of the population) are over the rounds.
    """

    model_config = ConfigDict(frozen=True)

    protocol: str
    labels: list[str]
    rounds: list[RoundResult]
    accuracy_mean: float
    accuracy_deviation: float
    macro_f1_mean: float
    epochs: int
    together: Metrics


def cross_validate(
    recipe: Recipe,
    data: DatasetFeatures,
    folds: Folds,
    labels: list[str],
    begin: Begin = silent,
) -> CrossValidation:
    """Fit and test a model for each part of the data.

    Returns:
        The rounds, with `epochs` being the median of theirs: for how long to fit on everything.
    """
    results, predictions = [], []
    for turn in folds.rounds():
        validated = _stop_early(recipe, data, turn, labels, begin)
        epochs = recipe.training.epochs if validated is None else validated.epochs
        everything = np.concatenate([turn.train, turn.validation])
        fitted = fit_model(
            recipe,
            select_examples(data, everything, labels),
            epochs=epochs,
            on_epoch=report_epochs(begin(f"fold {turn.name}: fitting", epochs)),
        )
        tested = _test(recipe, fitted, data, turn, labels, begin)
        predictions.append(tested)
        results.append(
            RoundResult(
                test=turn.name,
                epochs=epochs,
                metrics=measure(tested.truth, tested.predicted, labels),
                history=(validated or fitted).history,
            )
        )
    accuracies = [result.metrics.accuracy for result in results]
    return CrossValidation(
        protocol=_protocol_in_words(folds),
        labels=labels,
        rounds=results,
        accuracy_mean=mean(accuracies),
        accuracy_deviation=pstdev(accuracies),
        macro_f1_mean=mean(result.metrics.macro_f1 for result in results),
        epochs=round(median(result.epochs for result in results)),
        together=measure(
            np.concatenate([tested.truth for tested in predictions]),
            np.concatenate([tested.predicted for tested in predictions]),
            labels,
        ),
    )


def _stop_early(
    recipe: Recipe, data: DatasetFeatures, turn: Round, labels: list[str], begin: Begin
) -> FittedModel | None:
    """Fit on the training parts until the validation part says stop; None where there is none."""
    if len(turn.validation) == 0:
        return None
    return fit_model(
        recipe,
        select_examples(data, turn.train, labels),
        select_examples(data, turn.validation, labels),
        on_epoch=report_epochs(begin(f"fold {turn.name}: counting epochs", recipe.training.epochs)),
    )


def _test(
    recipe: Recipe,
    fitted: FittedModel,
    data: DatasetFeatures,
    turn: Round,
    labels: list[str],
    begin: Begin,
) -> Predictions:
    """Classify the test part's files with the saved and reloaded model, as serving would."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        fitted.model.save(path)
        engine = KerasEngine(path, recipe.front_end.feature_shape)
    classifier = Classifier(
        ModelReference(recipe.name, 1), labels, FrontEnd.build(recipe.front_end), engine
    )
    return predict(
        classifier,
        [data.clips[clip] for clip in turn.test],
        begin(f"fold {turn.name}: testing", len(turn.test)),
    )


def _protocol_in_words(folds: Folds) -> str:
    kept = {
        "folds": "the data's official folds",
        "groups": "parts that keep each group of clips together",
        "random": "random parts, stratified by label",
    }[folds.kind]
    stopped = (
        "epochs counted on a validation part apart from the test part, then refitted on both"
        if len(folds.names) > 2
        else "fitted for a fixed number of epochs"
    )
    return (
        f"{len(folds.names)}-fold cross-validation over {kept}; {stopped}; "
        "test clips classified from their files' bytes"
    )
