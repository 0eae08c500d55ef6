"""A round of a cross-validation: fit, stop and calibrate on a validation part, fit again, test.

First a model is fitted on the training parts and stopped early by the validation part, which tells
how many epochs to take. It also answers the validation part, on which a temperature and a threshold
are fitted. Then a fresh model is fitted for so many epochs on training and validation parts
together, and classifies the test part, from bytes, with that calibration. The test part takes no
part in any choice.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict

from app.audio.frontend import FrontEnd
from app.inference.artifact import Calibration
from app.inference.classifier import Classifier
from app.inference.engine import Engine
from app.inference.keras_engine import KerasEngine
from app.inference.store import ModelReference
from app.progress import Begin
from training.calibration import ClipOutputs, fit_calibration, outputs_of, pool_outputs
from training.evaluate import Metrics, Predictions, measure, pool_predictions, predict
from training.features_cache import DatasetFeatures
from training.fit import FittedModel, fit_model, report_epochs, select_examples
from training.recipe import Recipe
from training.splits import Round


class RoundResult(BaseModel):
    """One round's test part, how the model did on it, and how it was fitted and calibrated.

    `calibration` is fitted on the round's validation part, and None where there is none.
    """

    model_config = ConfigDict(frozen=True)

    test: str
    epochs: int
    calibration: Calibration | None
    metrics: Metrics
    history: dict[str, list[float]]


@dataclass(frozen=True, slots=True)
class Calibrated:
    """What a round with a validation part adds.

    Attributes:
        validation: what the model that was stopped early says of the validation part.
        tested: answers to the test part, with the round's calibration.
    """

    validation: ClipOutputs
    tested: Predictions


@dataclass(frozen=True, slots=True)
class FinishedRound:
    """A round's result, with what figures over all rounds are made of.

    Attributes:
        result: the round's result.
        uncalibrated: answers to the test part without a calibration.
        calibrated: None where there is no validation part.
    """

    result: RoundResult
    uncalibrated: Predictions
    calibrated: Calibrated | None


def run_round(
    recipe: Recipe, data: DatasetFeatures, turn: Round, labels: list[str], begin: Begin
) -> FinishedRound:
    """Fit, calibrate and test one round's models."""
    validated = _stop_early(recipe, data, turn, labels, begin)
    validation, calibration = None, None
    if validated is not None:
        engine = _saved_and_reloaded(recipe, validated)
        validation = outputs_of(engine, data, turn.validation, labels)
        calibration = fit_calibration(validation)
    fitted = _fit_again(recipe, data, turn, labels, validated, begin)
    engine = _saved_and_reloaded(recipe, fitted)

    def test(calibration: Calibration | None) -> Predictions:
        front_end = FrontEnd.build(recipe.front_end)
        reference = ModelReference(recipe.name, 1)
        classifier = Classifier(reference, labels, front_end, engine, calibration)
        clips = [data.clips[clip] for clip in turn.test]
        what = "testing" if calibration is None else "testing calibrated"
        return predict(classifier, clips, begin(f"fold {turn.name}: {what}", len(clips)))

    uncalibrated = test(None)
    calibrated = None if validation is None else Calibrated(validation, test(calibration))
    tested = calibrated.tested if calibrated else uncalibrated
    result = RoundResult(
        test=turn.name,
        epochs=fitted.epochs,
        calibration=calibration,
        metrics=measure(tested.truth, tested.predicted, labels),
        history=(validated or fitted).history,
    )
    return FinishedRound(result, uncalibrated, calibrated)


def pool_calibrated(rounds: Sequence[FinishedRound]) -> Calibrated | None:
    """Put the rounds' validation and test clips together; None where a round has no calibration."""
    calibrated = [finished.calibrated for finished in rounds if finished.calibrated is not None]
    if len(calibrated) < len(rounds):
        return None
    return Calibrated(
        validation=pool_outputs([part.validation for part in calibrated]),
        tested=pool_predictions([part.tested for part in calibrated]),
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


def _fit_again(
    recipe: Recipe,
    data: DatasetFeatures,
    turn: Round,
    labels: list[str],
    validated: FittedModel | None,
    begin: Begin,
) -> FittedModel:
    """Fit on all but the test part, for as many epochs as were best, else as the recipe has."""
    epochs = recipe.training.epochs if validated is None else validated.epochs
    return fit_model(
        recipe,
        select_examples(data, np.concatenate([turn.train, turn.validation]), labels),
        epochs=epochs,
        on_epoch=report_epochs(begin(f"fold {turn.name}: fitting", epochs)),
    )


def _saved_and_reloaded(recipe: Recipe, fitted: FittedModel) -> Engine:
    """Return an engine for a model, by way of a file, as serving would."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        fitted.model.save(path)
        return KerasEngine(path, recipe.front_end.feature_shape)
