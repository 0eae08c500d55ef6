"""`hark models`: what the store holds, and which versions of it serve."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from app.errors import InvalidAliasesError, UnknownVersionError
from app.inference.serving import Aliases, read_serving, write_aliases
from app.inference.store import ModelReference, ModelStore
from app.settings import DEFAULT_MODEL_STORE

application = typer.Typer(help="List the models of the store, or say which versions serve.")

Store = Annotated[
    Path, typer.Option(envvar="HARK_MODEL_STORE", help="Folder of models: <name>/<version>/.")
]
Version = Annotated[str, typer.Argument(metavar="NAME@VERSION")]

_WHEN = (
    "A running service takes it over on reload, SIGHUP, or by itself with HARK_WATCH_MODELS=true."
)


@application.callback(invoke_without_command=True)
def list_models(context: typer.Context, store: Store = DEFAULT_MODEL_STORE) -> None:
    """List the models of the store."""
    context.obj = ModelStore(store)
    if context.invoked_subcommand is None:
        _show(context.obj)


@application.command()
def promote(context: typer.Context, model: Version) -> None:
    """Have a version answer: it becomes the stable one, whatever numbers come after it."""
    store: ModelStore = context.obj
    reference = _existing(store, model)
    try:
        before = read_serving(store, reference.name)
        canary, percent = before.canary, before.canary_percent
    except InvalidAliasesError:  # this is how to write them anew
        canary, percent = None, 0.0
    if canary is None or canary == reference:
        aliases = Aliases(stable=reference.version)
    else:
        aliases = Aliases(stable=reference.version, canary=canary.version, canary_percent=percent)
    _write(store, reference.name, aliases)


@application.command()
def canary(
    context: typer.Context,
    model: Version,
    percent: Annotated[
        float, typer.Option(help="How many of a hundred requests it answers.", min=0, max=100)
    ],
) -> None:
    """Have a version answer a part of the requests that ask for none; 0 ends that."""
    store: ModelStore = context.obj
    reference = _existing(store, model)
    chosen = Aliases(
        # By number from now on: a newer version is not to become stable while this one is tried.
        stable=read_serving(store, reference.name).stable.version,
        canary=reference.version if percent else None,
        canary_percent=percent,
    )
    _write(store, reference.name, chosen)


def _existing(store: ModelStore, model: str) -> ModelReference:
    name, _, version = model.partition("@")
    if not version.isdecimal():
        raise UnknownVersionError(f"{model!r}: name a version by its number, as in urbansound@1.")
    return store.resolve(name, int(version))


def _write(store: ModelStore, name: str, aliases: Aliases) -> None:
    write_aliases(store, name, aliases)
    serving = read_serving(store, name)
    print(f"{name}: {serving}. {_WHEN}", file=sys.stderr)


def _show(store: ModelStore) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(
        "model", "version", "serves", "labels", "accuracy", "trained on", "licence of the data"
    )
    for name in store.names():
        serving = read_serving(store, name)
        for version in store.versions(name):
            reference = ModelReference(name, version)
            manifest = store.manifest(reference)
            table.add_row(
                name,
                str(version),
                serving.role_of(reference),
                str(len(manifest.labels)),
                f"{manifest.metrics.get('accuracy_mean', float('nan')):.1%}",
                "; ".join(manifest.training.datasets),
                "; ".join(manifest.training.licences),
            )
    # Where it is piped there is no width to fit into, and names are to stay whole.
    Console(width=None if sys.stdout.isatty() else 200).print(table)
