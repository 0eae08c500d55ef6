"""What the README and docs/api.md show is what really comes back."""

import json
import re
import shlex
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.live_server import LiveServer

ROOT = Path(__file__).parents[1]


def curls_with_answers(document: str) -> list[tuple[str, dict[str, Any]]]:
    """Return each curl command of a document that a JSON answer follows, with the answer."""
    text = (ROOT / document).read_text(encoding="utf-8")
    blocks = re.findall(r"```(sh|json)\n(.*?)```", text, re.DOTALL)
    return [
        (command.strip(), json.loads(answer))
        for (kind, command), (next_kind, answer) in pairwise(blocks)
        if (kind, next_kind) == ("sh", "json") and command.startswith("curl ")
    ]


DOCUMENTED = [
    pytest.param(command, answer, id=f"{document}: {command[:60]}")
    for document in ("README.md", "docs/api.md")
    for command, answer in curls_with_answers(document)
]


def rounded(value: Any) -> Any:
    """Forget what may differ between two runs: last digits, and the request's identifier."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items() if key != "request_id"}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return round(value, 3) if isinstance(value, float) else value


def test_the_documents_show_answers() -> None:
    assert len(DOCUMENTED) >= 5


@pytest.mark.parametrize(("command", "answer"), DOCUMENTED)
def test_a_documented_answer_comes_back(
    server: LiveServer, command: str, answer: dict[str, Any]
) -> None:
    here = command.replace("http://127.0.0.1:8000", server.url)
    result = subprocess.run(
        [*shlex.split(here), "--silent"],
        cwd=ROOT, capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip
    assert rounded(json.loads(result.stdout)) == rounded(answer)
