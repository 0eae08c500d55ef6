"""What the documents show of answers, and a command that writes there what really comes back.

    python -m tests.documents http://127.0.0.1:8000

A block of `sh` that begins with curl, and the block of `json` or `text` behind it, belong together.
"""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

ROOT: Final = Path(__file__).parents[1]
DOCUMENTS: Final = ("README.md", "docs/api.md")
DOCUMENTED_URL: Final = "http://127.0.0.1:8000"

_PAIR: Final = re.compile(
    r"(```sh\n(curl (?:(?!```).)*?)```\s+```(json|text)\n)(.*?)```", re.DOTALL
)
_WIDTH: Final = 100


class Shown(NamedTuple):
    """A command of a document, and the answer that the document shows."""

    command: str
    kind: str  # json or text
    answer: str


def shown_in(document: str) -> Iterator[Shown]:
    """Yield the commands of a document whose answer it shows."""
    for match in _PAIR.finditer((ROOT / document).read_text(encoding="utf-8")):
        yield Shown(match[2].strip(), match[3], match[4])


def ask(command: str, url: str) -> str:
    """Run a document's command against a service, and return what it prints."""
    here = command.replace("\\\n", " ").replace(DOCUMENTED_URL, url)
    finished = subprocess.run(
        [*shlex.split(here), "--silent", "--show-error"],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return finished.stdout


def in_lines(value: Any, indent: int = 0) -> str:
    """Write JSON so that it can be read: what fits on a line stands on one."""
    line = json.dumps(value, ensure_ascii=False)
    nested = isinstance(value, dict | list) and any(
        isinstance(item, dict | list)
        for item in (value.values() if isinstance(value, dict) else value)
    )
    if not isinstance(value, dict | list) or (not nested and len(line) + indent < _WIDTH):
        return line
    margin = " " * (indent + 2)
    if isinstance(value, dict):
        items = [f"{json.dumps(k)}: {in_lines(item, indent + 2)}" for k, item in value.items()]
        opening, closing = "{}"
    else:
        items = [in_lines(item, indent + 2) for item in value]
        opening, closing = "[]"
    inner = ",\n".join(margin + item for item in items)
    return f"{opening}\n{inner}\n{' ' * indent}{closing}"


def main() -> None:
    """Write into the documents what a service answers."""
    (url,) = sys.argv[1:]

    def answered(match: re.Match[str]) -> str:
        answer = ask(match[2].strip(), url)
        if match[3] == "json":
            answer = in_lines(json.loads(answer)) + "\n"
        return f"{match[1]}{answer.replace(chr(13), '')}```"

    for document in DOCUMENTS:
        path = ROOT / document
        path.write_text(_PAIR.sub(answered, path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
