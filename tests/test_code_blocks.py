"""The documents' blocks of code are what the programs take: commands, options, files.

Commands whose answer is shown are run by tests/test_readme.py, and the clients in Python by
tests/clients; here it is what no other test runs.
"""

import json
import re
import shlex
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Final, NamedTuple

import pytest
import typer.main
import yaml
from typer.core import TyperGroup
from typer.exceptions import TyperException

from app.cli import application as hark
from app.ray_cluster import with_address
from tests.test_links import documents
from training.cli import application as hark_train

ROOT: Final = Path(__file__).parents[1]
_BLOCK: Final = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)


class Block(NamedTuple):
    """A block of code in a document."""

    document: str
    language: str
    code: str


def blocks() -> Iterator[Block]:
    """Yield every document's blocks."""
    for document in documents():
        text = (ROOT / document).read_text(encoding="utf-8")
        yield from (Block(document, *found.groups()) for found in _BLOCK.finditer(text))


def commands() -> Iterator[tuple[str, list[str]]]:
    """Yield every command of a block of `sh`, as words, and the document that it stands in."""
    for block in blocks():
        if block.language == "sh":
            # What may be left out is there.
            code = re.sub(r"\[(--.*?)\]", r"\1", block.code.replace("\\\n", " "))
            # Quotations may go on for lines; comments may hold apostrophes.
            for line in re.sub(r"\s#.*", "", code).split("\n"):
                if line and not line[0].isspace() and line[0] not in "}{":
                    yield block.document, _words(line)


def _words(line: str) -> list[str]:
    try:
        words = shlex.split(line)
    except ValueError:  # a quotation that goes on
        words = line.split()
    while re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words = words[1:]
    return words


COMMANDS: Final = list(commands())


def parse(application: typer.Typer, words: list[str]) -> None:
    """Have a command line parsed, as far as its options go.

    Raises:
        TyperException: there is no such command or option, or its value is none.
    """
    command, words = typer.main.get_command(application), with_address(words)
    while isinstance(command, TyperGroup) and words[1:]:
        words = words[1:]
        if words[0] not in command.commands:
            raise TyperException(f"There is no command {words[0]}.")
        command = command.commands[words[0]]
    command.make_context(words[0], words[1:])


def check_make(words: list[str]) -> None:
    targets = [word for word in words[1:] if "=" not in word] or ["serve"]
    made = subprocess.run(
        ["make", "--question", "--dry-run", *targets], cwd=ROOT, capture_output=True, check=False
    )
    assert made.returncode in (0, 1), f"make has no {targets}"


def check_module(words: list[str]) -> None:
    assert words[1] == "-m"
    assert find_spec(words[2]), f"there is no module {words[2]}"


def check_file(words: list[str]) -> None:
    assert (ROOT / words[2]).is_dir()


def check_compose(words: list[str]) -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    assert set(re.findall(r"(\w+)=\d+", " ".join(words))) <= set(services)
    if "train" in words:
        assert "train" in services
        parse(hark_train, ["hark-train", *words[words.index("train") + 1 :]])


CHECKS: Final[dict[str, Callable[[list[str]], None]]] = {
    "hark": lambda words: parse(hark, words),
    "hark-train": lambda words: parse(hark_train, words),
    "make": check_make,
    "python": check_module,
    "kubectl": check_file,
    "docker": check_compose,
    "curl": lambda words: None,  # asked in tests/test_readme.py
    "tensorboard": lambda words: None,
    "pip": lambda words: None,
    "pre-commit": lambda words: None,
}


@pytest.mark.parametrize(
    ("document", "words"),
    [pytest.param(*each, id=f"{each[0]}: {' '.join(each[1])[:70]}") for each in COMMANDS],
)
def test_a_command_of_a_document_is_one(
    document: str, words: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # Where a document says DATA or runs/mfcc, there is something.
    monkeypatch.chdir(ROOT)
    for name in ("DATA", "OTHER_DATA", "recordings", "runs"):
        words = [re.sub(rf"^{name}\b", str(tmp_path), word) for word in words]
    program = Path(words[0]).name
    assert program in CHECKS, f"{document}: what is {program}?"
    CHECKS[program](words)


# What stands for something else.
_ELLIPSES: Final = ("…", "...")

READERS: Final[dict[str, Callable[[str], object]]] = {
    "toml": tomllib.loads,
    "yaml": lambda code: list(yaml.safe_load_all(code)),
    "json": json.loads,
    "python": lambda code: compile(code, "document", "exec"),
}


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(block, id=f"{block.document}: {block.language} {number}")
        for number, block in enumerate(blocks())
        if block.language in READERS
    ],
)
def test_a_block_can_be_read(block: Block) -> None:
    if block.language == "json" and any(each in block.code for each in _ELLIPSES):
        pytest.skip("shows an answer in part")
    READERS[block.language](block.code)


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["hark", "classify", "a.wav", "--no-such-option"], id="option"),
        pytest.param(["hark-train", "no-such-command"], id="command"),
        pytest.param(["hark-train", "fit", "mfcc-cnn"], id="missing option"),
    ],
)
def test_what_is_no_command_is_found_out(words: list[str]) -> None:
    with pytest.raises(TyperException):
        CHECKS[words[0]](words)


def test_what_is_no_target_is_found_out() -> None:
    with pytest.raises(AssertionError):
        check_make(["make", "no-such-target"])
