"""Short runs of the fuzzer, where Atheris is installed; and Hypothesis in its stead, everywhere."""

import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import UnsupportedEncodingError
from tests.contract.interpreter import ROOT
from tests.fuzz import fuzz_decode, fuzz_uploads
from tests.fuzz.targets import Target

needs_atheris = pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None,
    reason="Atheris is not installed here; `make fuzz` makes an environment that has it",
)

# Where a file is damaged: headers are short, and more of what is read depends on them.
_HEADER_BYTES: Final = 128


@dataclass(frozen=True)
class Damage:
    """One change of a file: what is done, where, and with which bytes."""

    kind: str
    position: int
    data: bytes

    def apply(self, file: bytes) -> bytes:
        start = self.position % max(1, len(file))
        end = start + len(self.data)
        match self.kind:
            case "overwrite":
                return file[:start] + self.data + file[end:]
            case "insert":
                return file[:start] + self.data + file[start:]
            case "remove":
                return file[:start] + file[end:]
            case "repeat":
                return file[:end] + file[start:]
        return file[:start]  # cut off


def damages_of(words: tuple[bytes, ...]) -> st.SearchStrategy[list[Damage]]:
    kinds = st.sampled_from(["overwrite", "overwrite", "insert", "remove", "repeat", "cut off"])
    positions = st.integers(0, _HEADER_BYTES) | st.integers(0, fuzz_decode.TARGET.max_bytes)
    data = st.sampled_from(words) | st.binary(min_size=1, max_size=8)
    return st.lists(st.builds(Damage, kinds, positions, data), min_size=1, max_size=5)


def check_damaged(target: Target, file: bytes, damages: list[Damage]) -> None:
    for damage in damages:
        file = damage.apply(file)
    file = file[: target.max_bytes]
    assert target.check(file, lambda _: None) in target.outcomes
    if target.mend is not None:
        assert target.check(target.mend(file), lambda _: None) in target.outcomes


@settings(max_examples=400, deadline=None, derandomize=True, database=None)
@given(st.sampled_from(sorted(fuzz_decode.seeds().items())), damages_of(fuzz_decode.TARGET.words))
def test_a_damaged_file_has_windows_or_is_refused(
    seed: tuple[str, bytes], damages: list[Damage]
) -> None:
    check_damaged(fuzz_decode.TARGET, seed[1], damages)


@settings(max_examples=400, deadline=None, derandomize=True, database=None)
@given(st.sampled_from(sorted(fuzz_uploads.seeds().items())), damages_of(fuzz_uploads.TARGET.words))
def test_a_damaged_upload_is_received_or_refused(
    seed: tuple[str, bytes], damages: list[Damage]
) -> None:
    check_damaged(fuzz_uploads.TARGET, seed[1], damages)


@pytest.mark.parametrize("name", sorted(set(fuzz_decode.seeds()) - {"no-audio"}))
def test_what_the_fuzzer_begins_with_is_audio(name: str) -> None:
    file = fuzz_decode.seeds()[name]
    assert len(file) <= fuzz_decode.TARGET.max_bytes
    encoding = name.split("-")[1]
    is_refused = encoding in {"ALAC_16", "ALAC_24", "DWVW_16", "G721_32", "G723_24"} or (
        encoding.startswith("NMS")
    )
    expected = UnsupportedEncodingError.__name__ if is_refused else fuzz_decode.WINDOWS
    assert fuzz_decode.check(file) == expected


@pytest.mark.parametrize("name", ["OGG-VORBIS-1", "OGG-OPUS-2"])
def test_mended_checksums_are_those_of_ogg(name: str) -> None:
    file = fuzz_decode.seeds()[name]
    assert fuzz_decode.mend(file) == file
    assert fuzz_decode.mend(file[:22] + bytes(4) + file[26:]) == file


@pytest.mark.parametrize("name", sorted(fuzz_uploads.seeds()))
def test_what_is_received_does_not_depend_on_the_pieces(name: str) -> None:
    data = fuzz_uploads.seeds()[name]
    for piece_bytes in range(1, 65):
        fuzz_uploads.check(bytes([piece_bytes]) + data[1:])


def run_fuzzer(folder: Path, *options: str, fault: str = "") -> tuple[int, str, dict[str, Any]]:
    """Run what `make fuzz` runs; return its status, what it says of errors, and its figures."""
    figures = folder / "figures.json"
    finished = subprocess.run(
        [
            sys.executable, "-m", "tests.fuzz.run", "--seed", "1", "--seconds", "20",
            "--folder", folder, "--figures", figures, *options,
        ],
        cwd=ROOT,
        env={**os.environ, "HARK_FUZZ_FAULT": fault},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )  # fmt: skip
    return finished.returncode, finished.stderr, json.loads(figures.read_text())["targets"]


@needs_atheris
def test_the_fuzzer_finds_nothing(tmp_path: Path) -> None:
    status, errors, figures = run_fuzzer(tmp_path, "--runs", "2000")
    assert status == 0, errors
    for name, target in (("decode", fuzz_decode.TARGET), ("uploads", fuzz_uploads.TARGET)):
        found = figures[name]
        assert found["findings"] == []
        assert found["inputs"] == sum(found["outcomes"].values()) >= 2_000
        assert set(found["outcomes"]) <= set(target.outcomes)
        assert found["coverage"]["corpus_files"] > len(target.seeds())  # it is guided


@needs_atheris
@pytest.mark.parametrize(
    ("fault", "saved_as", "said"),
    [
        ("E", "crash", "ValueError: this is what the input asked for"),
        ("S", "crash", "deadly signal"),
        ("K", "killed", "ended with -9"),
        ("T", "timeout", "ERROR: libFuzzer: timeout"),
        ("M", "oom", "ERROR: libFuzzer: out-of-memory"),
    ],
)
def test_a_finding_is_saved_and_named(tmp_path: Path, fault: str, saved_as: str, said: str) -> None:
    seconds = "1" if saved_as == "timeout" else "30"
    status, errors, figures = run_fuzzer(
        tmp_path, "--targets", "faults", "--input-seconds", seconds, fault=fault
    )
    assert status == 1
    assert said in errors
    (finding,) = figures["faults"]["findings"]
    assert finding in errors
    assert Path(finding).name.startswith(f"{saved_as}-")
    assert Path(finding).read_bytes()[:1] == fault.encode()
