"""A round of a cross-validation: fit, stop on a validation part, fit again, test.

First a model is fitted on the training parts and stopped early by the validation part, which tells
how many epochs to take, unless the recipe has a fixed number. Then a fresh model is fitted for so
many epochs on training and validation parts together, and classifies the test part, from bytes. The
test part takes no part in any choice.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from app.audio.frontend import FrontEnd
from app.inference.artifact import Calibration
from app.inference.classifier import Classifier
from app.inference.engine import Engine
from app.inference.keras_engine import KerasEngine
from app.inference.store import ModelReference
from app.progress import Begin, silent
from training.calibration import ClipOutputs, outputs_of
from training.ensemble import fit_networks, network_recipe
from training.evaluate import Predictions, predict
from training.examples import select_examples
from training.features_cache import DatasetFeatures
from training.fit import FittedModel
from training.fit_place import NOWHERE, FitPlace
from training.keras_import import tensorflow
from training.recipe import Recipe
from training.run_error import RunError
from training.splits import Round


@dataclass(frozen=True, slots=True)
class RoundWork:
    """What a round takes beside the data. It can be carried to another process.

    Attributes:
        recipe: decides the model.
        turn: which clips are fitted on, stop the fit, and test.
        labels: what the model's outputs mean, in order.
        place: who is told of its fits, and what is kept of them.
    """

    recipe: Recipe
    turn: Round
    labels: list[str]
    place: FitPlace = NOWHERE


@dataclass(frozen=True, slots=True)
class FittedRound:
    """A round whose model is fitted.

    Attributes:
        turn: which clips are its test part.
        model: the `.keras` file of the model that was fitted on all others.
        epochs: for how long that was.
        history: loss and accuracy after each epoch of the model that was stopped early, or of the
            one that was fitted for a fixed number.
        outputs: what the model says of the test part's windows.
    """

    turn: Round
    model: bytes
    epochs: int
    history: dict[str, list[float]]
    outputs: ClipOutputs


@dataclass(frozen=True, slots=True)
class TestWork:
    """A round that is fitted, what to test it with, and who is told."""

    recipe: Recipe
    fitted: FittedRound
    labels: list[str]
    calibration: Calibration
    begin: Begin = silent


@dataclass(frozen=True, slots=True)
class TestedRound:
    """What a round's model says of its test part, without and with calibration."""

    uncalibrated: Predictions
    calibrated: Predictions


def fit_round(data: DatasetFeatures, work: RoundWork) -> FittedRound:
    """Fit one round's models, going on from the checkpoints that a run's folder keeps."""
    validated = stop_early(data, work) if work.recipe.training.counts_epochs else None
    fitted = _fit_again(data, work, validated)
    model = _saved(fitted)
    engine = _engine_of(model, work.recipe)
    return FittedRound(
        turn=work.turn,
        model=model,
        epochs=fitted.epochs,
        history=(validated or fitted).history,
        outputs=outputs_of(engine, data, work.turn.test, work.labels),
    )


def test_round(data: DatasetFeatures, work: TestWork) -> TestedRound:
    """Classify a round's test part from its files' bytes, as serving would.

    Raises:
        RunError: a file cannot be read that could be when its features were computed.
    """
    front_end = FrontEnd.build(work.recipe.front_end)
    engine = _engine_of(work.fitted.model, work.recipe)
    clips = [data.clips[clip] for clip in work.fitted.turn.test]

    def answers(calibration: Calibration | None, what: str) -> Predictions:
        reference = ModelReference(work.recipe.name, 1)
        classifier = Classifier(reference, work.labels, front_end, engine, calibration)
        advance = work.begin(f"fold {work.fitted.turn.name}: {what}", len(clips))
        predictions = predict(classifier, clips, advance)
        if predictions.unreadable:
            lost = predictions.unreadable[0]
            raise RunError(
                f"{lost.path} could be read before, and cannot be now ({lost.reason}): the figures "
                "would be of other clips. Where several machines work, each needs the data at the "
                "same path. --resume goes on."
            )
        return predictions

    return TestedRound(answers(None, "testing"), answers(work.calibration, "testing calibrated"))


def stop_early(data: DatasetFeatures, work: RoundWork) -> FittedModel | None:
    """Fit on the training parts until the validation part says stop; None where there is none."""
    turn, labels, recipe = work.turn, work.labels, work.recipe
    if len(turn.validation) == 0:
        return None
    return work.place.fit(
        f"fold {turn.name}: counting epochs",
        network_recipe(recipe, 0),
        select_examples(data, turn.train, labels, with_variants=True),
        select_examples(data, turn.validation, labels),
    )


def _fit_again(
    data: DatasetFeatures, work: RoundWork, validated: FittedModel | None
) -> FittedModel:
    """Fit on all but the test part, for as many epochs as were best, else as the recipe has."""
    turn, recipe = work.turn, work.recipe
    fitted_on = np.concatenate([turn.train, turn.validation])
    return fit_networks(
        work.place,
        f"fold {turn.name}: fitting",
        recipe,
        select_examples(data, fitted_on, work.labels, with_variants=True),
        recipe.training.epochs if validated is None else validated.epochs,
    )


def _saved(fitted: FittedModel) -> bytes:
    """Return a model's `.keras` file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        fitted.model.save(path)
        return path.read_bytes()


def _engine_of(model: bytes, recipe: Recipe) -> Engine:
    """Return an engine for a model, by way of a file, as serving would."""
    # At work before there is an engine, which has it compute on one thread where it is not: then
    # the result would depend on what a process has done before.
    tensorflow.config.list_logical_devices()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        path.write_bytes(model)
        return KerasEngine(path, recipe.front_end.feature_shape)
