"""`hark classify`: say what the sounds in files are, on the terminal or in a table."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

import typer

from app.bulk.remote import place
from app.inference.engine import EngineName
from app.inference.labels import split_labels
from app.inference.serving import read_serving
from app.inference.store import ModelReference, ModelStore
from app.model_commands import Store
from app.settings import DEFAULT_MODEL_STORE

# What a branch needs is imported in it: `hark serve` must answer /livez in about a second.

Engine = Annotated[
    EngineName | None, typer.Option(help="What runs the models; HARK_ENGINE, or keras, by default.")
]

_TABLE: Final = "In a table (--out)"
_TERMINAL: Final = "On the terminal"
_AUDIO: Final = "Which audio, in which windows"


def classify(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="FILES|DIR|URL",
            help="Audio files, or folders, of which the audio files are taken.",
        ),
    ],
    recursive: Annotated[
        bool, typer.Option("--recursive", help="Look into the folders of folders too.")
    ] = False,
    model: Annotated[
        str,
        typer.Option(
            envvar="HARK_DEFAULT_MODEL",
            metavar="NAME[@VERSION]",
            help="The version is a number, stable or canary.",
        ),
    ] = "urbansound",
    engine: Engine = None,
    store: Store = DEFAULT_MODEL_STORE,
    labels: Annotated[
        list[str] | None,
        typer.Option(help="Tell of these labels only, given once each or separated by commas."),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            help="The least probability that is shown, and that makes an event (0.5 by default).",
            min=0,
            max=1,
        ),
    ] = None,
    windows: Annotated[
        bool, typer.Option("--windows", help="Tell of each window; in a table, a row for each.")
    ] = False,
    start_seconds: Annotated[
        float, typer.Option(help="Where to begin.", min=0, rich_help_panel=_AUDIO)
    ] = 0.0,
    end_seconds: Annotated[
        float | None, typer.Option(help="Where to end.", rich_help_panel=_AUDIO)
    ] = None,
    hop_seconds: Annotated[
        float | None,
        typer.Option(
            help="From one window's start to the next; a whole window by default.",
            min=0.05,
            max=60,
            rich_help_panel=_AUDIO,
        ),
    ] = None,
    top_k: Annotated[
        int | None,
        typer.Option(
            help="How many labels to show, 5 by default.",
            min=1,
            max=1000,
            rich_help_panel=_TERMINAL,
        ),
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print one JSON object a line.", rich_help_panel=_TERMINAL),
    ] = False,
    out: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="A .csv, .jsonl or .parquet file to write; with --ray, a folder or a URL. Where "
            "it is there, it is gone on with.",
            rich_help_panel=_TABLE,
        ),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="[ADDRESS]",
            help="Classify on a Ray cluster: auto or HOST:PORT; one that is started here, where no "
            "address is given.",
            rich_help_panel=_TABLE,
        ),
    ] = None,
    events: Annotated[
        bool,
        typer.Option("--events", help="A row for each event, not file.", rich_help_panel=_TABLE),
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option(
            help="Compute processes; one a processor by default.",
            min=1,
            max=256,
            rich_help_panel=_TABLE,
        ),
    ] = None,
    deadline_seconds: Annotated[
        float | None,
        typer.Option(
            help="How long a file may take; HARK_DEADLINE_SECONDS, or 30, by default.",
            min=0.1,
            rich_help_panel=_TABLE,
        ),
    ] = None,
) -> None:
    """Say what the sounds in files are, without a server.

    With --out, files go through isolated processes into a table, with --ray on all machines of a
    cluster; started again, the command goes on where it ended. The exit status is 1 if a file has
    no answer, and 130 after Ctrl-C.
    """
    for_tables = {"--workers": workers, "--deadline-seconds": deadline_seconds, "--events": events}
    if out is None:
        _refuse({**for_tables, "--ray": ray}, "is for a table: name its file with --out.")
    else:
        _refuse({"--top-k": top_k, "--json": as_json}, "is for the terminal, and not for --out.")
        if not events:
            _refuse({"--threshold": threshold}, "is for --events, where there is --out.")
    _refuse({"--windows": windows and events}, "and --events: a row stands for one or the other.")
    from app.audio.cutting import Cutting
    from app.settings import read_settings

    settings = read_settings(engine=engine, model_store=store, workers=workers)
    models = ModelStore(store)
    reference = _resolve(models, model)
    cutting = Cutting(start_seconds, end_seconds, hop_seconds)
    chosen = split_labels(labels or ())
    _refuse({"--labels": labels and not chosen}, "names no label. Leave it out, for all.")
    places = [place(path) for path in paths]
    if out is None:
        from app.terminal_answers import Shown, show_answers

        artifact = models.open(reference)
        shown = Shown(top_k or 5, threshold, chosen or None, windows)
        sys.exit(show_answers(places, recursive, artifact, settings, cutting, shown, as_json))
    from app.bulk.asked import Asked, RowKind

    kind: RowKind = "windows" if windows else "events" if events else "files"
    asked = Asked.of(models.manifest(reference), chosen, kind, cutting, threshold)
    if ray is not None:
        from app.bulk.ray_command import classify_on_ray

        sys.exit(
            classify_on_ray(
                places, recursive, place(out), asked, settings, deadline_seconds, ray, workers
            )
        )
    from app.bulk.command import classify_into_table

    table = place(out)
    if not isinstance(table, Path):
        raise typer.BadParameter(f"--out {out} is a URL, which only --ray writes to.")
    sys.exit(classify_into_table(places, recursive, table, asked, settings, deadline_seconds))


def _refuse(options: Mapping[str, object], why: str) -> None:
    """Refuse an option that was given, where it means nothing.

    Raises:
        BadParameter: one was given.
    """
    for name, value in options.items():
        if value is not None and value is not False:
            raise typer.BadParameter(f"{name} {why}")


def _resolve(store: ModelStore, model: str) -> ModelReference:
    name, _, version = model.partition("@")
    if version.isdecimal():
        return store.resolve(name, int(version))
    return read_serving(store, name).named(version or "stable")
