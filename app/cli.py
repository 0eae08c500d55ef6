"""`hark serve | classify | models | keys`."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from app import key_commands, model_commands
from app.api_keys import KeysFileError
from app.errors import HarkError
from app.inference.engine import EngineName
from app.inference.serving import read_serving
from app.model_commands import Store
from app.settings import DEFAULT_MODEL_STORE, SettingsError

if TYPE_CHECKING:
    from app.inference.classification import Classification
    from app.inference.store import ModelReference, ModelStore

# The commands import what they need: `hark serve` must answer /livez in about a second.

application = typer.Typer(
    help="Say what a sound is.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

application.add_typer(model_commands.application, name="models")
application.add_typer(key_commands.application, name="keys")

Engine = Annotated[
    EngineName | None, typer.Option(help="What runs the models; HARK_ENGINE, or keras, by default.")
]
BAR_WIDTH: Final = 24


@application.command()
def serve(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to listen on.", min=0, max=65_535)] = 8000,
    workers: Annotated[
        int | None, typer.Option(help="Compute processes; one a processor by default.", min=1)
    ] = None,
    engine: Engine = None,
) -> None:
    """Start the service. HARK_* environment variables set the rest."""
    from app.server import serve
    from app.settings import read_settings

    if not serve(read_settings(workers=workers, engine=engine), host, port):
        sys.exit(1)


@application.command()
def classify(
    files: Annotated[list[Path], typer.Argument(help="WAV, MP3, FLAC, Ogg, Opus or AIFF files.")],
    model: Annotated[
        str,
        typer.Option(
            envvar="HARK_DEFAULT_MODEL",
            metavar="NAME[@VERSION]",
            help="The version is a number, stable or canary.",
        ),
    ] = "urbansound",
    top_k: Annotated[int, typer.Option(help="How many labels to show.", min=1, max=1000)] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
    engine: Engine = None,
    store: Store = DEFAULT_MODEL_STORE,
) -> None:
    """Say what the sounds in files are, without a server."""
    from app.inference.threads import compute_on_one_thread

    compute_on_one_thread()
    from app.inference.classifier import Classifier
    from app.inference.store import ModelStore
    from app.settings import read_settings

    settings = read_settings(engine=engine)
    limits = settings.decode_limits
    models = ModelStore(store)
    classifier = Classifier.load(models.open(_resolve(models, model)), settings.engine)
    failed = False
    for file in files:
        try:
            answer = classifier.classify(file.read_bytes(), limits)
        except (HarkError, OSError) as error:
            failed = True
            _show_failure(file, error, as_json)
        else:
            _show_answer(file, answer, top_k, as_json)
    if failed:
        sys.exit(1)


def main() -> None:
    """Run the command line; a foreseen failure is one sentence and exit status 1."""
    try:
        application()
    except (HarkError, SettingsError, KeysFileError) as error:
        print(f"hark: {error}", file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        print(f"hark: {error.filename}: {error.strerror}.", file=sys.stderr)
        sys.exit(1)


def _resolve(store: "ModelStore", model: str) -> "ModelReference":
    name, _, version = model.partition("@")
    if version.isdecimal():
        return store.resolve(name, int(version))
    return read_serving(store, name).named(version or "stable")


def _show_answer(file: Path, answer: "Classification", top_k: int, as_json: bool) -> None:
    if as_json:
        from app.api.options import ClassifyOptions
        from app.api.schemas import ClassificationAnswer

        options = ClassifyOptions(top_k=top_k)
        content: dict[str, Any] = ClassificationAnswer.of(answer, options).model_dump(
            exclude_none=True
        )
        print(json.dumps({"file": str(file), **content}))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    heading = Text(f"{file} ({answer.duration_seconds:.1f} s, {answer.model})")
    console.print(heading, soft_wrap=True)
    table = Table(show_header=False, box=None)
    for label, probability in answer.top(top_k):
        bar = "█" * round(probability * BAR_WIDTH)
        table.add_row(Text(label), Text(f"{bar:<{BAR_WIDTH}}", "cyan"), f"{probability:6.1%}")
    console.print(table)


def _show_failure(file: Path, error: Exception, as_json: bool) -> None:
    sentence = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    if as_json:
        code = error.code if isinstance(error, HarkError) else "unreadable_file"
        print(json.dumps({"file": str(file), "code": code, "error": sentence}))
    else:
        print(f"{file}: {sentence}", file=sys.stderr)


if __name__ == "__main__":
    main()
