"""Fine-tuning, from files to a version: what its weights had learned before goes with it."""

import csv
from pathlib import Path

import pytest

from app.inference.artifact import EarlierTraining
from app.inference.store import ModelReference, ModelStore
from app.progress import silent
from tests.tiny_model import FOLDS, NAME, SAVING_WARNS, TinyModel
from tests.training.test_cli import HarkTrain
from tests.training.test_cli import hark_train as hark_train
from training.datasets import load_dataset
from training.recipe import load_recipe
from training.recipe_error import RecipeError
from training.runs import prepare
from training.starting_point import was_fitted_on

pytestmark = SAVING_WARNS


def write_others(tiny: TinyModel, path: Path) -> None:
    """Write the tiny model's data but for a fold as another data set, to be used as its own."""
    with tiny.data.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["fold"] != FOLDS[-1]]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["path", "label", "fold"])
        writer.writeheader()
        writer.writerows(
            {**row, "path": tiny.data.parent / row["path"], "label": f"a {row['label']}"}
            for row in rows
        )


def test_what_the_weights_had_learned_before_is_known_of_the_version(
    hark_train: HarkTrain, tiny: TinyModel, tmp_path: Path
) -> None:
    tiny.copy_version(tmp_path / "store")
    others = tmp_path / "others.csv"
    write_others(tiny, others)
    finished = hark_train(
        *("fit", "fine-tune", "--data", others, "--name", "tuned", "--store", tmp_path / "store"),
        *("--set", f"starting_point={NAME}", "--cache", tiny.cache, "--out", tmp_path / "run"),
        *("--set", "training.epochs=1", "--set", "training.min_epochs=1"),
    )
    assert finished.status == 0, finished.complaint
    store = ModelStore(tmp_path / "store")
    trained = store.open(ModelReference("tuned", 1)).manifest.training
    before = store.open(ModelReference(NAME, 1)).manifest.training
    assert trained.earlier == [
        EarlierTraining(
            model=f"{NAME}@1", dataset="sounds", licence=before.licence, folds=list(FOLDS)
        )
    ]
    card = (tmp_path / "store" / "tuned" / "1" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert f"began as those of `{NAME}@1`, which had learned sounds (licence" in card
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert f"before that sounds, as {NAME}@1; licence: {before.licence}" in page

    # So it is neither tested on what it had learned, nor gone on with as if it had not.
    assert was_fitted_on(trained, load_dataset(tiny.data))
    again = load_recipe("fine-tune", ["starting_point=tuned@1"], tmp_path / "store")
    with pytest.raises(RecipeError, match=r"tuned@1, .*was fitted on clips of sounds"):
        prepare(again, load_dataset(tiny.data), "auto", False, tiny.cache, silent)


def test_licences_are_those_of_all_data(tiny: TinyModel) -> None:
    trained = tiny.open().manifest.training.model_copy(update={"licence": "CC BY 4.0"})
    assert trained.licences == ["CC BY 4.0"]
    earlier = EarlierTraining(model="a@1", dataset="a", licence="CC BY-NC 3.0", folds=[])
    several = [earlier, earlier.model_copy(update={"licence": "CC BY 4.0"})]
    assert trained.model_copy(update={"earlier": several}).licences == ["CC BY 4.0", "CC BY-NC 3.0"]
