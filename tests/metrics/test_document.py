"""docs/metrics.md is what the code defines."""

from tests.metrics.document import DOCUMENT, composed


def test_the_document_is_up_to_date() -> None:
    advice = "write it anew: python -m tests.metrics.document"
    assert DOCUMENT.read_text(encoding="utf-8") == composed(), advice
