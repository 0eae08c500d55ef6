"""Each recipe on real folds, by the command that anyone would run; the table of docs/recipes.md.

python -m benchmarks.recipes --data DATA [--only mfcc-cnn,sb-cnn] [--set FIELD=VALUE] [--write]

A recipe whose run is there already, in the folder of runs, is not run again. With --write its row
takes the place of the one that results/recipes.json had of that recipe and data, and the document's
table is made of all rows there; so a table can be made in several sittings, on several machines.
"""

import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any, Final

import numpy as np
import typer

from app.audio.frontend import FrontEnd
from app.inference.classifier import Classifier
from app.inference.onnx_engine import OnnxEngine
from app.inference.store import ModelReference
from app.inference.threads import compute_on_one_thread
from benchmarks.recipe_rows import ROWS, merged, table
from tests.figures import write_figures
from training.architectures import build_model
from training.datasets import Dataset, load_dataset
from training.ensemble import joined, network_recipe
from training.onnx_conversion import write_onnx
from training.recipe import Recipe, load_recipe, recipe_names

ROOT: Final = Path(__file__).parents[1]
DOCUMENT: Final = ROOT / "docs" / "recipes.md"
HARK_TRAIN: Final = Path(sys.executable).with_name("hark-train")
N_TIMED: Final = 24  # clips on which a recipe's network and front end are timed


def main(
    data: Annotated[Path, typer.Option(help="The data set.")],
    only: Annotated[str, typer.Option(help="Which recipes, separated by commas.")] = "",
    changes: Annotated[list[str] | None, typer.Option("--set", help="As hark-train's.")] = None,
    out: Annotated[Path, typer.Option(help="The folder of runs.")] = ROOT / "runs" / "recipes",
    write: Annotated[
        bool, typer.Option(help="Keep the rows, and put the table into the document.")
    ] = False,
) -> None:
    """Cross-validate recipes on a data set, and print the table of these and all earlier runs."""
    compute_on_one_thread()
    dataset = load_dataset(data)
    for name in only.split(",") if only else recipe_names():
        folder = out / dataset.name / name
        if not (folder / "row.json").exists():
            folder.mkdir(parents=True, exist_ok=True)
            row = run(name, dataset, data, changes or [], folder)
            (folder / "row.json").write_text(json.dumps(row, indent=1) + "\n", encoding="utf-8")
    rows = merged(
        json.loads(ROWS.read_bytes()),
        [json.loads(path.read_bytes()) for path in out.glob("*/*/row.json")],
    )
    print(table(rows))
    if write:
        ROWS.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
        write_figures(DOCUMENT, "runs", table(rows))


def run(
    name: str, dataset: Dataset, data: Path, changes: list[str], folder: Path
) -> dict[str, Any]:
    """Run the command, and time what it makes."""
    settings = [part for change in changes for part in ("--set", change)]
    arguments = ["cross-validate", name, "--data", str(data), *settings]
    print(f"hark-train {shlex.join(arguments)}", file=sys.stderr, flush=True)
    started = perf_counter()
    with (folder / "log").open("wb") as log:
        subprocess.run(
            [HARK_TRAIN, *arguments, "--out", str(folder)],
            stdout=log,
            stderr=log,
            check=True,
            cwd=ROOT,
        )
    seconds = perf_counter() - started
    result = json.loads((folder / "metrics.json").read_bytes())
    recipe = load_recipe(name, changes)
    parameters, milliseconds = cost(recipe, dataset)
    return {
        "recipe": name,
        "data": dataset.name,
        "command": shlex.join(["hark-train", *arguments[:3], f"DATA/{data.name}", *settings]),
        "folds": [part["test"] for part in result["rounds"]],
        "clips": result["together"]["clips"],
        "accuracy_mean": result["accuracy_mean"],
        "accuracy_deviation": result["accuracy_deviation"],
        "macro_f1_mean": result["macro_f1_mean"],
        "ece_after": result["ece_after"],
        "seconds": seconds,
        "parameters": parameters,
        "milliseconds": milliseconds,
        "processors": len(os.sched_getaffinity(0)),
    }


def cost(recipe: Recipe, dataset: Dataset) -> tuple[int, float]:
    """Return the network's parameters, and milliseconds a clip from bytes to probabilities.

    With the ONNX engine, on one thread; the median over clips. What was learned does not matter
    for either, so the network is one that has learned nothing.
    """
    spec = recipe.front_end
    rng = np.random.default_rng(0)
    features = rng.normal(size=(4, *spec.feature_shape)).astype(np.float32)
    networks = [
        build_model(network_recipe(recipe, place).model, spec, len(dataset.labels), features)
        for place in range(recipe.training.networks)
    ]
    model = joined(networks)
    with tempfile.TemporaryDirectory() as folder:
        write_onnx(model, Path(folder) / "model.onnx")
        engine = OnnxEngine(Path(folder) / "model.onnx", spec.feature_shape)
    classifier = Classifier(
        ModelReference(recipe.name, 1), dataset.labels, FrontEnd.build(spec), engine
    )
    files = [clip.path.read_bytes() for clip in dataset.clips[:: len(dataset.clips) // N_TIMED]]
    classifier.classify(files[0])
    durations = []
    for file in files:
        started = perf_counter()
        classifier.classify(file)
        durations.append(perf_counter() - started)
    return model.count_params(), 1_000 * statistics.median(durations)


if __name__ == "__main__":
    typer.run(main)
