"""What the README and docs/api.md show is what really comes back."""

import json
import re
from typing import Any

import pytest

from tests.documents import DOCUMENTS, Shown, ask, shown_in
from tests.live_server import LiveServer

DOCUMENTED = [
    pytest.param(shown, id=f"{document}: {shown.command[:60]}")
    for document in DOCUMENTS
    for shown in shown_in(document)
]


def rounded(value: Any) -> Any:
    """Forget what may differ between two runs: last digits, and the request's identifier."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items() if key != "request_id"}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return round(value, 3) if isinstance(value, float) else value


def comparable(kind: str, answer: str) -> Any:
    if kind == "json":
        return rounded(json.loads(answer))
    return re.sub(r"\d+\.\d+", lambda number: f"{float(number[0]):.3f}", answer).splitlines()


def test_the_documents_show_answers() -> None:
    assert len(DOCUMENTED) >= 12


@pytest.mark.parametrize("shown", DOCUMENTED)
def test_a_documented_answer_comes_back(server: LiveServer, shown: Shown) -> None:
    answer = ask(shown.command, server.url)
    assert comparable(shown.kind, answer) == comparable(shown.kind, shown.answer)
