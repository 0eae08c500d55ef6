"""`hark keys`: make API keys. The service knows their hashes and never the keys."""

import re
import sys
from typing import Annotated

import typer

from app.api_keys import NAME_PATTERN, Scope, hash_of, make_key

application = typer.Typer(help="Make API keys.", no_args_is_help=True)


@application.callback()
def keys() -> None:
    """Make API keys."""


@application.command()
def new(
    name: Annotated[str, typer.Argument(help="Who it is for, as the log will name it.")],
    scope: Annotated[
        list[Scope] | None, typer.Option(help="What it is for; give it twice for both.")
    ] = None,
) -> None:
    """Make a key: it is shown once, with what to add to the file in HARK_API_KEYS_FILE."""
    if not re.fullmatch(NAME_PATTERN, name):
        raise typer.BadParameter(
            "A key's name has 1 to 64 letters, digits, dots, dashes and underscores."
        )
    key = make_key()
    scopes = ", ".join(f'"{each}"' for each in scope or [Scope.CLASSIFY])
    print("The key, which is shown only now; give it to its owner:", file=sys.stderr)
    print(key)
    print("\nFor the service's file of keys, which is read again when it changes:", file=sys.stderr)
    print(f'\n[[keys]]\nname = "{name}"\nsha256 = "{hash_of(key)}"\nscopes = [{scopes}]')
