"""`hark serve | classify | listen | models | keys`."""

import sys
from typing import Annotated

import typer

from app import classify_command, key_commands, listen_command, model_commands
from app.api_keys import KeysFileError
from app.bulk.errors import BulkError
from app.classify_command import Engine
from app.errors import HarkError
from app.ray_cluster import with_address
from app.settings import SettingsError

# The commands import what they need: `hark serve` must answer /livez in about a second.

application = typer.Typer(
    help="Say what a sound is.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

application.add_typer(model_commands.application, name="models")
application.add_typer(key_commands.application, name="keys")
application.command()(classify_command.classify)
application.command()(listen_command.listen)


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


def main() -> None:
    """Run the command line; a foreseen failure is one sentence and exit status 1."""
    try:
        application(args=with_address(sys.argv[1:]))
    except (HarkError, BulkError, SettingsError, KeysFileError) as error:
        print(f"hark: {error}", file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        print(f"hark: {error.filename}: {error.strerror}.", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
