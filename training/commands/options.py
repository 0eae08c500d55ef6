"""Arguments and options that several commands have."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from app.inference.labels import split_labels
from training.datasets import Dataset, load_dataset

Data = Annotated[Path, typer.Option(help="The data set: a folder in a known layout, or a CSV.")]
RecipeName = Annotated[str, typer.Argument(metavar="RECIPE", help="A name, or a .toml file.")]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="FIELD=VALUE", help="Set a field: --set training.epochs=30"),
]
Split = Annotated[
    Literal["auto", "folds", "groups", "random"],
    typer.Option(help="What keeps clips together: official folds, groups, or nothing (random)."),
]
Strict = Annotated[
    bool,
    typer.Option("--strict", help="Stop where a file cannot be read, instead of leaving it out."),
]
Cache = Annotated[
    Path | None, typer.Option(help="Where features are kept; by default in the user's cache.")
]
OnlyFolds = Annotated[
    str | None, typer.Option(help="Only the clips of these folds, separated by commas.")
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with what was interrupted.")]
Store = Annotated[Path, typer.Option(help="The model store.", envvar="HARK_MODEL_STORE")]
Ray = Annotated[
    str | None,
    typer.Option(
        metavar="[ADDRESS]",
        help="Work on a Ray cluster (auto, HOST:PORT), or without an address on one started here.",
    ),
]
TensorBoard = Annotated[
    Path | None,
    typer.Option("--tensorboard", help="A folder for the curves, as TensorBoard reads."),
]
Threads = Annotated[
    int | None,
    typer.Option(min=1, help="How many threads a fit computes on; by default all processors."),
]


def load_folds(data: Path, folds: str | None) -> Dataset:
    """Load a data set, or those of its folds that are named, separated by commas."""
    dataset = load_dataset(data)
    return dataset if folds is None else dataset.select_folds(split_labels([folds]))
