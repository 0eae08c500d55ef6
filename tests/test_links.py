"""Every link of a document leads somewhere: to a file, and to a heading in it."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)|(?:src|href)=\"([^\"]+)\"")
_CODE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def documents() -> list[str]:
    """Return the paths of the project's documents, from its folder."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    found = listed.stdout.split() if listed.returncode == 0 else []
    return found or [str(path.relative_to(ROOT)) for path in ROOT.glob("docs/*.md")]


def _anchors(document: Path) -> set[str]:
    """Return the anchors that a document's headings get from GitHub and its like."""
    text = _CODE.sub("", document.read_text(encoding="utf-8"))
    words = (re.sub(r"[^\w\s-]", "", heading.lower()) for heading in _HEADING.findall(text))
    return {each.strip().replace(" ", "-") for each in words}


@pytest.mark.parametrize("name", documents())
def test_links_lead_somewhere(name: str) -> None:
    document = ROOT / name
    text = _CODE.sub("", document.read_text(encoding="utf-8"))
    for found in _LINK.finditer(text):
        target, _, anchor = (found[1] or found[2]).partition("#")
        if re.match(r"[a-z]+:", target):
            continue  # another host's
        linked = (document.parent / target).resolve() if target else document
        assert linked.exists(), f"{name} links to {target}, which is not there"
        if anchor and linked.suffix == ".md":
            assert anchor in _anchors(linked), f"{name} links to {target}#{anchor}"


def test_every_document_can_be_found_from_the_readme() -> None:
    known, ahead = set[Path](), [ROOT / "README.md"]
    while ahead:
        document = ahead.pop()
        if document in known:
            continue
        known.add(document)
        for found in _LINK.finditer(document.read_text(encoding="utf-8")):
            target = (found[1] or found[2]).partition("#")[0]
            linked = (document.parent / target).resolve()
            if target.endswith(".md") and linked.exists():
                ahead.append(linked)
    unfound = {path.name for path in ROOT.glob("docs/*.md")} - {path.name for path in known}
    assert not unfound, "nobody who begins with the README comes there"
