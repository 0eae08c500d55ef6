"""`make fuzz`: arbitrary bytes into what strangers' bytes reach, by libFuzzer through Atheris.

Each target runs in a process of its own, from small files that code makes. A finding is whatever
its module does not expect: another exception, a crash of a C library, an input that takes more
than five seconds, more than a gigabyte of memory. The input is saved and named, and the exit
status is 1. With --write the figures go into docs/reliability.md.
"""

import argparse
import hashlib
import importlib
import json
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import soundfile

from tests.figures import ROOT, write_figures
from tests.fuzz.logbook import Logbook
from tests.fuzz.targets import Target, dictionary_of

TARGETS: Final = ("decode", "uploads")
INPUT_SECONDS: Final = 5
MEMORY_MEGABYTES: Final = 1_024
# How long after its time a process may still end by itself.
_GRACE_SECONDS: Final = 60
_LAST_WORDS: Final = 40
# What libFuzzer counts: "#100000 DONE   cov: 310 ft: 902 corp: 243/310Kb ..."
_COUNTERS: Final = re.compile(r"cov: (\d+) ft: (\d+) corp: (\d+)/")
_MEMORY: Final = re.compile(r"stat::peak_rss_mb:\s+(\d+)")
_SAVED: Final = re.compile(r"Test unit written to (.+)")


def fuzz(
    name: str, runs: int, seconds: int, seed: int, folder: Path, input_seconds: int = INPUT_SECONDS
) -> dict[str, Any]:
    """Run one target and return its figures.

    Args:
        name: the target's.
        runs: how many inputs to try.
        seconds: how long to try at the most.
        seed: what chance begins with; 0 for another one each time.
        folder: where findings are saved.
        input_seconds: how long one input may take.
    """
    target: Target = importlib.import_module(f"tests.fuzz.fuzz_{name}").TARGET
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "log"
    with tempfile.TemporaryDirectory(dir=folder) as made:
        work = Path(made)
        corpus = work / "corpus"
        corpus.mkdir()
        for seed_name, data in target.seeds().items():
            (corpus / seed_name).write_bytes(data[: target.max_bytes])
        words = work / "words"
        words.write_text(dictionary_of(target.words))
        command = [
            sys.executable, "-m", "tests.fuzz.child", name, str(work / "logbook"),
            f"-runs={runs}", f"-max_total_time={seconds}", f"-seed={seed}", f"-dict={words}",
            f"-timeout={input_seconds}", f"-report_slow_units={input_seconds}",
            f"-rss_limit_mb={MEMORY_MEGABYTES}", f"-artifact_prefix={folder}/",
            # Little damage at a time, to files of any length: more of them get past the headers.
            "-len_control=0", "-mutate_depth=2", "-reduce_inputs=0",
            "-close_fd_mask=2", "-print_final_stats=1", str(corpus),
        ]  # fmt: skip
        started = time.monotonic()
        hung = False
        with log.open("wb") as output:
            try:
                status = subprocess.run(
                    command,
                    cwd=ROOT,
                    stdout=output,
                    stderr=output,
                    check=False,
                    timeout=seconds + _GRACE_SECONDS,
                ).returncode
            except subprocess.TimeoutExpired:
                hung, status = True, -1
        passed = time.monotonic() - started
        logbook = Logbook(work / "logbook", target.outcomes, target.max_bytes)
        said = log.read_text(errors="replace")
        saved = [Path(path) for path in _SAVED.findall(said)]
        if status != 0 and not saved and logbook.inputs:
            saved = [_save(logbook.last_input, folder)]  # it was killed, or is past saying so
    return {
        "inputs": logbook.inputs,
        "seconds": round(passed, 1),
        "inputs_per_second": round(logbook.inputs / passed),
        "findings": [_shown(path) for path in saved],
        "outcomes": dict(sorted(logbook.counts.items(), key=lambda item: -item[1])),
        "coverage": _coverage(said),
        "slowest_input_seconds": round(logbook.slowest_seconds, 3),
        "peak_memory_megabytes": _last_number(_MEMORY, said),
        "exit_status": "hung" if hung else status,
        "log": _shown(log),
    }


def _save(data: bytes, folder: Path) -> Path:
    path = folder / f"killed-{hashlib.sha1(data, usedforsecurity=False).hexdigest()}"
    path.write_bytes(data)
    return path


def _shown(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def _coverage(said: str) -> dict[str, int]:
    counters = _COUNTERS.findall(said)
    names = ("branches", "features", "corpus_files")
    return dict(zip(names, map(int, counters[-1]), strict=True)) if counters else {}


def _last_number(pattern: re.Pattern[str], said: str) -> int | None:
    found = pattern.findall(said)
    return int(found[-1]) if found else None


def main() -> int:
    """Run what the command line asks for, and return the exit status."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--targets", nargs="+", default=TARGETS)
    parser.add_argument("--runs", type=int, default=100_000, help="inputs of each target")
    parser.add_argument("--seconds", type=int, default=1_800, help="longest time of each target")
    parser.add_argument("--input-seconds", type=int, default=INPUT_SECONDS)
    parser.add_argument("--seed", type=int, default=0, help="0 for another one each time")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "fuzz")
    parser.add_argument("--write", action="store_true", help="put the figures into the document")
    chosen = parser.parse_args()
    figures: dict[str, Any] = {
        "date": datetime.now(UTC).date().isoformat(),
        "python": platform.python_version(),
        "libsndfile": soundfile.__libsndfile_version__,
        "atheris": version("atheris"),
        "targets": {},
    }
    failed = False
    for name in chosen.targets:
        found = fuzz(
            name,
            chosen.runs,
            chosen.seconds,
            chosen.seed,
            chosen.folder.resolve() / name,
            chosen.input_seconds,
        )
        status, log = found.pop("exit_status"), found.pop("log")
        figures["targets"][name] = found
        print(f"{name}: {json.dumps(found)}", flush=True)
        if status != 0 or found["findings"]:
            failed = True
            last_words = (ROOT / log).read_text(errors="replace").splitlines()[-_LAST_WORDS:]
            print("\n".join(last_words), file=sys.stderr)
            print(
                f"{name} ended with {status}; see {log} and:", *found["findings"], file=sys.stderr
            )
    if chosen.write:
        write_figures(ROOT / "docs" / "reliability.md", "fuzz", _markdown(figures))
    return int(failed)


def _markdown(figures: dict[str, Any]) -> str:
    """Return the figures of a run as a table."""
    targets: dict[str, dict[str, Any]] = figures["targets"]
    rows: dict[str, Callable[[dict[str, Any]], str]] = {
        "inputs": lambda found: f"{found['inputs']:,}",
        "inputs a second": lambda found: str(found["inputs_per_second"]),
        "**findings**": lambda found: str(len(found["findings"])),
        "outcomes": lambda found: ", ".join(
            f"{name} {count:,}" for name, count in found["outcomes"].items()
        ),
        "branches, features and files that libFuzzer kept": lambda found: ", ".join(
            map(str, found["coverage"].values())
        ),
        "slowest input": lambda found: f"{found['slowest_input_seconds']} s",
        "peak memory": lambda found: f"{found['peak_memory_megabytes']} MB",
    }
    return "\n".join(
        [
            f"libsndfile {figures['libsndfile']}, Atheris {figures['atheris']}, Python "
            f"{figures['python']}, {figures['date']}.",
            "",
            f"| | {' | '.join(targets)} |",
            f"|---|{'---|' * len(targets)}",
            *(
                f"| {what} | {' | '.join(show(found) for found in targets.values())} |"
                for what, show in rows.items()
            ),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
