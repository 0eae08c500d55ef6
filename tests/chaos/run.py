"""Chaos: twice the load that can be served, processes killed, models changed, hostile uploads.

    python -m tests.chaos.run [--seconds 300] [--engine keras]

Prints and, with --write, puts into docs/reliability.md what happened; fails if an answer was wrong
or lost, or if memory grew.
"""

import argparse
import asyncio
import contextlib
import os
import platform
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import aiohttp

from app.api_keys import hash_of, make_key
from app.inference.classifier import Classifier
from app.inference.engine import ENGINES, EngineName
from app.inference.store import ModelReference, ModelStore
from app.inference.threads import available_processors, compute_on_one_thread
from tests.chaos.burst import burst
from tests.chaos.faults import (
    NAME,
    Faults,
    MemorySample,
    change_models,
    kill_processes,
    sample_memory,
)
from tests.chaos.load import PATIENCE_SECONDS, Load, Question, Tally
from tests.chaos.outsider import PROBES, Outsider
from tests.figures import ROOT, write_figures
from tests.hostile.corpus import CORPUS
from tests.live_server import LiveServer, live_server
from tests.two_versions import TwoVersions

SAMPLES: Final = ROOT / "samples"
CLIPS: Final = ("siren.mp3", "jackhammer.mp3", "dog_bark.mp3", "car_horn.mp3", "siren.wav")
# Larger ones would make the client the bottleneck that is measured.
LARGEST_HOSTILE_BYTES: Final = 1_000_000
CLIENTS: Final = 32


@dataclass(frozen=True, slots=True)
class Plan:
    """What is done for how long.

    Attributes:
        seconds: of load with faults.
        engine: what runs the models.
        overload: offered load as a multiple of what was served.
        burst: the same, in a short time in which the probes are watched.
        burst_seconds: how long that is.
        kill_every: seconds between kills.
        reload_every: seconds between changes of the model.
        hostile_share: part of the uploads that are hostile.
    """

    seconds: float
    engine: EngineName
    overload: float = 2.0
    burst: float = 10.0
    burst_seconds: float = 10.0
    kill_every: float = 10.0
    reload_every: float = 20.0
    hostile_share: float = 0.05


@dataclass(frozen=True, slots=True)
class Report:
    """What happened."""

    plan: Plan
    capacity: float
    offered: float
    tally: Tally
    faults: Faults
    memory: list[MemorySample]
    outsider: dict[str, list[float]]
    burst_offered: float | None
    burst: dict[str, list[float]]
    exit_status: int
    stopped_in: float

    def growth(self) -> tuple[float, float] | None:
        """Return how the HTTP process and all processes grew after the first minute.

        As the quotient of medians: of the last third of what came after it, and of its first.
        """
        settled = [sample for sample in self.memory if sample.at > min(60.0, self.plan.seconds / 5)]
        third = len(settled) // 3
        if third < 2:
            return None
        first, last = settled[:third], settled[-third:]
        return (
            statistics.median(s.http_process for s in last)
            / statistics.median(s.http_process for s in first)
            - 1,
            statistics.median(s.all_processes for s in last)
            / statistics.median(s.all_processes for s in first)
            - 1,
        )

    def failures(self) -> list[str]:
        """Return what was not as it should be, in words."""
        found = [f"wrong answer: {each}" for each in self.tally.wrong[:10]]
        found += [f"lost answer: {each}" for each in self.tally.lost[:10]]
        if self.exit_status != 0:
            found.append(f"the service ended with {self.exit_status}")
        growth = self.growth()
        if growth is not None and max(growth) > 0.10:
            found.append(f"memory grew by {max(growth):.0%}")
        return found

    def markdown(self) -> str:
        """Return the figures as a table."""
        tally, faults = self.tally, self.faults
        n_ended = tally.outcomes.total() + len(tally.wrong) + len(tally.lost)
        coded = {
            code: n
            for code, n in tally.outcomes.items()
            if code not in ("answered", "refused as it should be")
        }
        rows = [
            ("served, without faults", f"{self.capacity:.0f} requests/s"),
            (
                "offered, with faults",
                f"{self.offered:.0f} requests/s ({self.offered / self.capacity:.1f} times as many) "
                f"for {self.plan.seconds:.0f} s",
            ),
            (
                "offered in a burst before that, without faults",
                f"{self.burst_offered:.0f} requests/s "
                f"({self.burst_offered / self.capacity:.1f} times as many)"
                if self.burst_offered
                else "nothing, as there is no wrk here",
            ),
            ("requests that got a verdict", f"{n_ended:,}"),
            ("answered", f"{tally.answered:,}"),
            ("refused for what they are", f"{tally.outcomes['refused as it should be']:,}"),
            ("answered with a coded error", _counts(coded)),
            ("**wrong answers**", str(len(tally.wrong))),
            ("**lost answers**", str(len(tally.lost))),
            ("compute processes killed", str(faults.kills)),
            ("reloads of the model", _counts(faults.reloads)),
            ("memory after the first minute", self._growth_in_words()),
            (
                "an outsider's accepted requests",
                _quantiles(self.outsider.get("answered", [])),
            ),
            ("... and its refused ones (503)", _quantiles(self.outsider.get("overloaded", []))),
            *(
                (
                    f"`{path}`, and in the burst",
                    f"{_quantiles(self.outsider[path])}; {_quantiles(self.burst[path])}",
                )
                for path in PROBES
            ),
            ("refused (503) in the burst", _quantiles(self.burst.get("overloaded", []))),
            (
                "connections refused after SIGTERM, when nobody listened",
                str(tally.turned_away),
            ),
            (
                "exit status after SIGTERM under load",
                f"{self.exit_status}, after {self.stopped_in:.1f} s",
            ),
        ]  # fmt: skip
        lines = [
            f"Engine {self.plan.engine}, {available_processors()} processors "
            f"({platform.machine()}), {datetime.now(UTC):%Y-%m-%d}; times are p50 / p99.",
            "",
            "| what | seen |",
            "|---|---|",
            *(f"| {what} | {seen} |" for what, seen in rows),
        ]
        return "\n".join(lines)

    def _growth_in_words(self) -> str:
        growth = self.growth()
        if growth is None or not self.memory:
            return "too short a run to tell"
        last = self.memory[-1]
        return (
            f"HTTP process {growth[0]:+.1%} ({last.http_process / 1e6:.0f} MB), all processes "
            f"{growth[1]:+.1%} ({last.all_processes / 1e6:.0f} MB)"
        )


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--engine", choices=ENGINES, default="keras")
    parser.add_argument("--write", action="store_true", help="put the figures into the document")
    chosen = parser.parse_args()
    report = run(Plan(seconds=chosen.seconds, engine=chosen.engine))
    print(report.markdown())
    if chosen.write:
        write_figures(ROOT / "docs" / "reliability.md", "chaos", report.markdown())
    for failure in report.failures():
        print(failure, file=sys.stderr)
    sys.exit(bool(report.failures()))


def run(plan: Plan) -> Report:
    """Do what a plan says to a service of its own."""
    compute_on_one_thread()
    with tempfile.TemporaryDirectory() as folder, _service(plan, Path(folder)) as (server, key):
        return asyncio.run(_run(plan, server, Path(folder) / "store", key))


@contextlib.contextmanager
def _service(plan: Plan, folder: Path) -> Iterator[tuple[LiveServer, str]]:
    key = make_key()
    TwoVersions(folder / "store").add(2)
    keys = folder / "keys.toml"
    keys.write_text(
        f'[[keys]]\nname = "chaos"\nsha256 = "{hash_of(key)}"\nscopes = ["classify", "admin"]\n'
    )
    environment = {
        "HARK_ENGINE": plan.engine,
        "HARK_MODEL_STORE": str(folder / "store"),
        "HARK_API_KEYS_FILE": str(keys),
        "HARK_LOG_LEVEL": "warning",
        "HARK_WORKERS": str(available_processors()),
    }
    with live_server(folder / "log", **environment) as server:
        yield server, key


async def _run(plan: Plan, server: LiveServer, store: Path, key: str) -> Report:
    headers = {"Authorization": f"Bearer {key}"}
    clips, hostile = _questions(plan.engine, store)
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=2)
    timeout = aiohttp.ClientTimeout(total=PATIENCE_SECONDS)
    async with aiohttp.ClientSession(
        connector=connector, headers=headers, timeout=timeout
    ) as session:
        url = f"{server.url}/v1/classify"
        outsider = Outsider(server.port, SAMPLES / CLIPS[0], headers)
        os.nice(5)  # in the world, those who ask and those who answer share no processor
        quiet = Load(session, url, clips, hostile, plan.hostile_share)
        await quiet.in_turns(CLIENTS, min(3.0, plan.seconds))  # first answers are slow
        capacity = await quiet.in_turns(CLIENTS, min(10.0, plan.seconds))
        await asyncio.to_thread(outsider.take)
        burst_offered = await burst(
            url, clips[0].data, headers["Authorization"], plan.burst * capacity,
            plan.burst_seconds,
        )  # fmt: skip
        seen_in_burst = await asyncio.to_thread(outsider.take)
        load = Load(session, url, clips, hostile, plan.hostile_share)
        faults = Faults()
        over, ended = asyncio.Event(), asyncio.Event()
        loading = asyncio.create_task(load.at_rate(plan.overload * capacity, ended))
        disturbing = [
            asyncio.create_task(kill_processes(server, faults, plan.kill_every, over)),
            asyncio.create_task(
                change_models(session, server, store, faults, plan.reload_every, over)
            ),
        ]
        memory = asyncio.create_task(sample_memory(server, available_processors(), faults, over))
        await asyncio.sleep(plan.seconds)
        over.set()
        await asyncio.gather(*disturbing)
        seen = await asyncio.to_thread(outsider.take)
        outsider.end()
        # The end comes in the middle of the load, which goes on until nobody listens.
        os.kill(server.process.pid, signal.SIGTERM)
        started = time.monotonic()
        exit_status = await asyncio.to_thread(server.process.wait, 60)
        ended.set()
        stopped_in = time.monotonic() - started
        offered = await loading
        await load.settle()
        return Report(
            plan, capacity, offered, load.tally, faults, await memory, seen,
            burst_offered, seen_in_burst, exit_status, stopped_in,
        )  # fmt: skip


def _questions(engine: EngineName, store: Path) -> tuple[list[Question], list[Question]]:
    """Return clips with the right answers of both versions, and hostile files with theirs."""
    models = ModelStore(store)
    classifiers = {
        version: Classifier.load(models.open(ModelReference(NAME, version)), engine)
        for version in models.versions(NAME)
    }
    clips = [
        Question(
            name, data,
            by_version={
                version: classifier.classify(data).probabilities
                for version, classifier in classifiers.items()
            },
        )
        for name, data in ((name, (SAMPLES / name).read_bytes()) for name in CLIPS)
    ]  # fmt: skip
    hostile = [
        Question(name, data, file.status, file.code)
        for name, file, data in ((name, file, file.make()) for name, file in CORPUS.items())
        if len(data) <= LARGEST_HOSTILE_BYTES
    ]
    return clips, hostile


def _counts(counts: dict[str, int] | Counter[str]) -> str:
    return ", ".join(f"{name} {n:,}" for name, n in sorted(counts.items())) or "none"


def _quantiles(seconds: list[float]) -> str:
    if len(seconds) < 2:
        return "none" if not seconds else f"{seconds[0] * 1000:.0f} ms, once"
    hundredths = statistics.quantiles(seconds, n=100, method="inclusive")
    return f"{hundredths[49] * 1000:.0f} / {hundredths[98] * 1000:.0f} ms"


if __name__ == "__main__":
    main()
