"""The command `hark listen`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from app.inference.labels import split_labels


def listen(
    file: Annotated[
        Path | None, typer.Argument(help="A file to stream; the microphone where none is named.")
    ] = None,
    url: Annotated[str, typer.Option(help="The service.")] = "ws://127.0.0.1:8000",
    model: Annotated[
        str | None,
        typer.Option(metavar="NAME[@VERSION]", help="The model; the service's default else."),
    ] = None,
    labels: Annotated[
        list[str] | None,
        typer.Option(help="Tell of these labels only, given once each or separated by commas."),
    ] = None,
    hop_seconds: Annotated[
        float, typer.Option(help="From one result to the next.", min=0.05, max=60)
    ] = 0.5,
    device: Annotated[
        str | None, typer.Option(help="The microphone: its number, or a part of its name.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
    api_key: Annotated[
        str | None, typer.Option(envvar="HARK_API_KEY", help="The service's API key.")
    ] = None,
) -> None:
    """Say what is heard, live: a microphone, or a file at real speed. Needs a running service."""
    import asyncio

    from app.audio_sources import FileSource, Microphone, SourceError
    from app.listen import BarChart, JsonLines, ListenError, Wish
    from app.listen import listen as stream

    name, _, version = (model or "").partition("@")
    options = {
        "hop_seconds": hop_seconds,
        "model": name or None,
        "version": version or None,
        "labels": split_labels(labels or ()) or None,
    }
    wish = Wish(url, api_key, {key: value for key, value in options.items() if value is not None})
    try:
        source = Microphone(device) if file is None else FileSource(file)
        if as_json:
            asyncio.run(stream(source, wish, JsonLines()))
        else:
            from rich.console import Console

            with BarChart(Console(), source.name) as chart:
                asyncio.run(stream(source, wish, chart))
    except (ListenError, SourceError) as error:
        print(f"hark: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        pass  # how one ends it
