"""The runs that the commands make: from a data set to features, folds, models and a version."""

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from pydantic import TypeAdapter, ValidationError

from app.audio.frontend import FrontEnd
from app.inference.artifact import ModelName, TrainingRecord
from app.inference.classifier import Classifier
from app.inference.store import ModelReference, ModelStore
from app.progress import Begin
from training.architectures import check_model
from training.augmentation.variants import make_variants
from training.cross_validation import Outcome, cross_validate
from training.datasets import Dataset, DatasetError
from training.ensemble import fit_networks
from training.evaluate import Metrics, measure, predict
from training.examples import select_examples
from training.export import Export, export
from training.features_cache import (
    DatasetFeatures,
    UnreadableClip,
    default_cache_folder,
    extract_features,
)
from training.fit_place import FitPlace
from training.recipe import Recipe
from training.recipe_error import RecipeError
from training.report.files import write_version_reports
from training.results import CrossValidation
from training.run_error import RunError
from training.run_folder import RunFolder
from training.run_identity import identity_of
from training.splits import Folds, SplitKind, make_folds
from training.starting_point import check_starting_point, earlier_training, was_fitted_on
from training.versions import find_version
from training.workers import THIS_MACHINE, Places

_MAX_LISTED: Final = 20
_N_EXAMPLES: Final = 256  # real windows on which a version's engines are compared


class UnreadableClipsError(DatasetError):
    """Clips cannot be read: more than half, or some where none was to be left out."""

    def __init__(self, clips: tuple[UnreadableClip, ...]) -> None:
        lines = [f"  {clip.path}: {clip.reason}" for clip in clips[:_MAX_LISTED]]
        if len(clips) > _MAX_LISTED:
            lines.append(f"  and {len(clips) - _MAX_LISTED} more")
        super().__init__(
            f"{len(clips)} files cannot be read:\n"
            + "\n".join(lines)
            + "\nRepair or remove them. Without --strict, a few such files are left out."
        )


@dataclass(frozen=True, slots=True)
class Run:
    """A recipe with data made ready for it."""

    recipe: Recipe
    dataset: Dataset
    data: DatasetFeatures
    folds: Folds


def prepare(
    recipe: Recipe,
    dataset: Dataset,
    split: SplitKind,
    strict: bool,
    cache: Path | None,
    begin: Begin,
    places: Places = THIS_MACHINE,
) -> Run:
    """Refuse bad splits and recipes before any work, and compute a data set's features.

    Raises:
        DatasetError: the data cannot be trained on.
        RecipeError: the recipe names no network that can be built, or its augmentation or starting
            point does not suit the data.
        UnreadableClipsError: files cannot be read, and that is not to be, or most cannot.
    """
    check_starting_point(recipe, dataset)
    check_model(recipe.model, recipe.front_end, len(dataset.labels), recipe.training.networks)
    if recipe.augmentation.waveform is not None:
        recipe.augmentation.waveform.check_labels(dataset.labels)
    make_folds(dataset, split, recipe.training.seed)
    data = extract_features(
        dataset,
        recipe.front_end,
        cache or default_cache_folder(),
        begin("computing features", len(dataset.clips)),
        places.files,
    )
    if (data.unreadable and strict) or 2 * len(data.unreadable) > len(dataset.clips):
        raise UnreadableClipsError(data.unreadable)
    readable = Dataset(dataset.name, dataset.licence, data.clips)
    if len(readable.labels) < 2:
        raise DatasetError("fewer than two labels have a readable clip")
    folds = make_folds(readable, split, recipe.training.seed)
    return with_variants(Run(recipe, readable, data, folds), cache, begin, places)


def with_variants(run: Run, cache: Path | None, begin: Begin, places: Places = THIS_MACHINE) -> Run:
    """Return a run with the variants that its recipe asks for, and no others."""
    plan = run.recipe.augmentation.waveform
    variants = None
    if plan is not None:
        variants = make_variants(
            run.data.clips,
            run.folds.part_of_clip,
            run.recipe.front_end,
            plan,
            run.recipe.training.seed,
            cache or default_cache_folder(),
            begin("computing variants", len(run.data.clips)),
            places.files,
        )
    return replace(run, data=replace(run.data, variants=variants))


def open_folder(run: Run, folder: Path | None, resume: bool) -> RunFolder:
    """Open the folder that keeps a run's checkpoints; arguments and errors as RunFolder's."""
    identity = identity_of(run.recipe, run.dataset, run.data, run.folds)
    return RunFolder(identity, folder, f"{run.recipe.name}-{run.dataset.name}", resume)


def cross_validate_run(run: Run, place: FitPlace, places: Places = THIS_MACHINE) -> Outcome:
    """Cross-validate a run's recipe on its data, here or where `places` has fits done."""
    return cross_validate(run.recipe, run.data, run.folds, run.dataset.labels, place, places.fits)


def fit_and_export(
    run: Run,
    result: CrossValidation,
    name: str,
    store: Path,
    command: str,
    place: FitPlace,
) -> ModelReference:
    """Fit on all clips, for as long as the cross-validation found best, and write a version.

    A run that is gone on with after that has its version already: the same store's of that name.

    Raises:
        ArtifactError: the version does not load as it was saved.
    """
    keep, models = place.keep, ModelStore(store)
    written = keep.noted_version() if keep is not None else None
    if written is not None and written.parent == (store / name).resolve():
        return ModelReference(name, int(written.name))
    labels = run.dataset.labels
    fitted = fit_networks(
        place,
        "all clips: fitting",
        run.recipe,
        select_examples(run.data, np.arange(len(run.data.clips)), labels, with_variants=True),
        result.epochs,
    )
    training = TrainingRecord(
        recipe=run.recipe.name,
        command=command,
        dataset=run.dataset.name,
        licence=run.dataset.licence,
        folds=run.dataset.folds,
        clips=len(run.data.clips),
        epochs=result.epochs,
        seed=run.recipe.training.seed,
        earlier=earlier_training(run.recipe),
    )
    store.mkdir(parents=True, exist_ok=True)
    reference = export(
        models,
        name,
        Export(
            model=fitted.model,
            front_end=FrontEnd.build(run.recipe.front_end),
            labels=labels,
            examples=run.data.features[:: -(-len(run.data.features) // _N_EXAMPLES)],
            calibration=result.calibration,
            training=training,
            metrics=result.figures,
            write_reports=lambda folder, reference: write_version_reports(
                folder, reference, run.recipe, training, result
            ),
        ),
    )
    if keep is not None:
        keep.note_version(models.folder(reference))
    return reference


def check_name(name: str) -> None:
    """Refuse what cannot be a model's name, before hours of work.

    Raises:
        RecipeError: the name holds other characters than a model's may.
    """
    try:
        TypeAdapter(ModelName).validate_python(name)
    except ValidationError as error:
        raise RecipeError(
            f"{name!r} cannot be a model's name: use small letters, digits, - and _, at most 64"
        ) from error


def check_store(store: Path) -> None:
    """Refuse a store that takes no version, before hours of work; it need not be there yet.

    Raises:
        RunError: nothing can be written there.
    """
    there = next(folder for folder in (store, *store.absolute().parents) if folder.exists())
    try:
        tempfile.TemporaryFile(dir=there).close()
    except OSError as error:
        raise RunError(
            f"no version can be written into {store}: {error.strerror}; name another by --store"
        ) from error


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How a version does on labelled files.

    `trained_on_these` says that the version, or one that its weights began as, was fitted on clips
    of these folds.
    """

    metrics: Metrics
    unreadable: tuple[UnreadableClip, ...]
    trained_on_these: bool


def evaluate_version(model: str, dataset: Dataset, store: Path, begin: Begin) -> Evaluation:
    """Classify a data set's files with a version of the store.

    Args:
        model: `name` or `name@version`.
        dataset: the labelled files.
        store: the model store.
        begin: is told how it goes on.

    Raises:
        ModelError: there is no such version, or it is refused.
        DatasetError: the data has labels that the model does not know.
    """
    models = ModelStore(store)
    artifact = models.open(find_version(models, model))
    labels = artifact.manifest.labels
    unknown = sorted(set(dataset.labels) - set(labels))
    if unknown:
        raise DatasetError(f"{model} does not know the labels {', '.join(unknown)}")
    predictions = predict(
        Classifier.load(artifact), dataset.clips, begin("classifying", len(dataset.clips))
    )
    if len(predictions.truth) == 0:
        raise DatasetError(f"none of the {len(dataset.clips)} clips of {dataset.name} can be read")
    return Evaluation(
        metrics=measure(predictions, labels),
        unreadable=predictions.unreadable,
        trained_on_these=was_fitted_on(artifact.manifest.training, dataset),
    )
