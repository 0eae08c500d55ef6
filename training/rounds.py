"""A round of a cross-validation: fit, stop on a validation part, fit again, test.

First a model is fitted on the training parts and stopped early by the validation part, which tells
how many epochs to take. Then a fresh model is fitted for so many epochs on training and validation
parts together, and classifies the test part, from bytes. The test part takes no part in any choice.
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
from app.progress import Begin
from training.calibration import ClipOutputs, outputs_of
from training.evaluate import Predictions, predict
from training.examples import select_examples
from training.features_cache import DatasetFeatures
from training.fit import FittedModel, fit_model, report_epochs
from training.recipe import Recipe
from training.run_folder import RunFolder
from training.splits import Round


@dataclass(frozen=True, slots=True)
class FittedRound:
    """A round whose model is fitted.

    Attributes:
        turn: which clips are its test part.
        engine: runs the model that was fitted on all others.
        epochs: for how long that was.
        history: loss and accuracy after each epoch of the model that was stopped early.
        outputs: what the model says of the test part's windows.
    """

    turn: Round
    engine: Engine
    epochs: int
    history: dict[str, list[float]]
    outputs: ClipOutputs


def fit_round(
    recipe: Recipe,
    data: DatasetFeatures,
    turn: Round,
    labels: list[str],
    begin: Begin,
    keep: RunFolder | None = None,
) -> FittedRound:
    """Fit one round's models, going on from the checkpoints that a run's folder keeps."""
    validated = _stop_early(recipe, data, turn, labels, begin, keep)
    fitted = _fit_again(recipe, data, turn, labels, validated, begin, keep)
    engine = _saved_and_reloaded(recipe, fitted)
    return FittedRound(
        turn=turn,
        engine=engine,
        epochs=fitted.epochs,
        history=(validated or fitted).history,
        outputs=outputs_of(engine, data, turn.test, labels),
    )


def test_round(
    recipe: Recipe,
    data: DatasetFeatures,
    fitted: FittedRound,
    labels: list[str],
    calibration: Calibration | None,
    begin: Begin,
) -> Predictions:
    """Classify a round's test part from its files' bytes, as serving would."""
    front_end = FrontEnd.build(recipe.front_end)
    reference = ModelReference(recipe.name, 1)
    classifier = Classifier(reference, labels, front_end, fitted.engine, calibration)
    clips = [data.clips[clip] for clip in fitted.turn.test]
    what = "testing" if calibration is None else "testing calibrated"
    return predict(classifier, clips, begin(f"fold {fitted.turn.name}: {what}", len(clips)))


def _stop_early(
    recipe: Recipe,
    data: DatasetFeatures,
    turn: Round,
    labels: list[str],
    begin: Begin,
    keep: RunFolder | None,
) -> FittedModel | None:
    """Fit on the training parts until the validation part says stop; None where there is none."""
    if len(turn.validation) == 0:
        return None
    return fit_model(
        recipe,
        select_examples(data, turn.train, labels, with_variants=True),
        select_examples(data, turn.validation, labels),
        on_epoch=report_epochs(begin(f"fold {turn.name}: counting epochs", recipe.training.epochs)),
        checkpoint=None if keep is None else keep.checkpoint(f"fold {turn.name} counting epochs"),
    )


def _fit_again(
    recipe: Recipe,
    data: DatasetFeatures,
    turn: Round,
    labels: list[str],
    validated: FittedModel | None,
    begin: Begin,
    keep: RunFolder | None,
) -> FittedModel:
    """Fit on all but the test part, for as many epochs as were best, else as the recipe has."""
    epochs = recipe.training.epochs if validated is None else validated.epochs
    return fit_model(
        recipe,
        select_examples(
            data, np.concatenate([turn.train, turn.validation]), labels, with_variants=True
        ),
        epochs=epochs,
        on_epoch=report_epochs(begin(f"fold {turn.name}: fitting", epochs)),
        checkpoint=None if keep is None else keep.checkpoint(f"fold {turn.name} fitting"),
    )


def _saved_and_reloaded(recipe: Recipe, fitted: FittedModel) -> Engine:
    """Return an engine for a model, by way of a file, as serving would."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        fitted.model.save(path)
        return KerasEngine(path, recipe.front_end.feature_shape)
