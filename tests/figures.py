"""Figures that a run measured, put between two marks of a document."""

from pathlib import Path

ROOT = Path(__file__).parents[1]


def write_figures(document: Path, mark: str, markdown: str) -> None:
    """Replace what stands between `<!-- mark -->` and `<!-- end of mark -->` in a document.

    Raises:
        ValueError: the document has no such marks.
    """
    text = document.read_text(encoding="utf-8")
    begin, end = f"<!-- {mark} -->\n", f"<!-- end of {mark} -->"
    head, found, rest = text.partition(begin)
    _, found_end, tail = rest.partition(end)
    if not (found and found_end):
        raise ValueError(f"{document} has no marks for {mark!r}")
    document.write_text(f"{head}{begin}\n{markdown.strip()}\n\n{end}{tail}", encoding="utf-8")
