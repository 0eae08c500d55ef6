"""The benchmark: each contender in turn on this machine, then one table and a plot.

python -m benchmarks.bench [--seconds 8] [--connections 1,8,32] [--contenders hark-keras,tutorial]
"""

import json
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from app.inference.engine import EngineName
from app.inference.store import ModelStore
from app.settings import DEFAULT_MODEL_STORE
from benchmarks.clips import clip
from benchmarks.contenders import CONTENDERS, WORKERS, Contender
from benchmarks.front_end import front_end_milliseconds
from benchmarks.growth import growth
from benchmarks.limit import clips_per_second
from benchmarks.load import LoadError, check_load_generator
from benchmarks.measure import CONTAINERS, ContenderError, Plan, free_port, measure
from benchmarks.report import write_report

RESULTS: Final = Path(__file__).parent / "results"
AGREEMENT: Final = 0.02  # of two contenders' probabilities for the clip


def main(
    seconds: Annotated[float, typer.Option(help="How long each figure is measured.")] = 8.0,
    connections: Annotated[str, typer.Option(help="Numbers of connections.")] = "1,8,32",
    lengths: Annotated[str, typer.Option(help="Seconds of audio.")] = "4,60,150,300,600",
    contenders: Annotated[str, typer.Option(help="Which to measure.")] = ",".join(CONTENDERS),
    out: Annotated[Path, typer.Option(help="Folder of the results.")] = RESULTS,
) -> None:
    """Measure Hark beside what its users would pick instead, and beside the limit."""
    check_load_generator()
    out.mkdir(parents=True, exist_ok=True)
    plan = Plan(
        seconds, tuple(map(int, connections.split(","))), tuple(map(float, lengths.split(",")))
    )
    store = ModelStore(DEFAULT_MODEL_STORE)
    version = store.folder(store.resolve("urbansound"))
    _say("the front end alone")
    results: dict[str, Any] = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{_processor()}, {WORKERS} processors, Python {platform.python_version()}",
        "plan": {"seconds": plan.seconds, "connections": list(plan.connections)},
        "front_end": front_end_milliseconds(version, clip("wav")),
        "limit": {},
        "contenders": {},
        "skipped": {},
        "growth": {},
    }
    reference: dict[str, float] = {}
    for key in contenders.split(","):
        contender = CONTENDERS[key]
        if contender.engine is not None:
            _measure_limit(results, contender.engine, version, plan)
        _measure(results, key, contender, plan, version, out, reference)
        if key in results["contenders"] and contender.engine is not None:
            _say(f"{contender.name}: growth")
            results["growth"][contender.name] = growth(
                contender, free_port(), out / "growth.log", plan.lengths
            )
    (out / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    print(write_report(results, out))


def _measure_limit(results: dict[str, Any], engine: EngineName, version: Path, plan: Plan) -> None:
    _say(f"the limit, {engine}")
    results["limit"][engine] = {
        container: clips_per_second(engine, version, clip(container), WORKERS, plan.seconds)
        for container in CONTAINERS
    }


def _measure(
    results: dict[str, Any],
    key: str,
    contender: Contender,
    plan: Plan,
    version: Path,
    out: Path,
    reference: dict[str, float],
) -> None:
    if not contender.installed:
        results["skipped"][contender.name] = f"not installed in {contender.environment.name}"
        return
    _say(contender.name)
    try:
        measurement = measure(
            contender,
            plan,
            {"BENCHMARK_MODEL": str(version)},
            out / f"{key}.log",
            lambda probabilities: _check_agreement(probabilities, reference),
        )
    except (ContenderError, LoadError) as error:
        results["skipped"][contender.name] = str(error)
        return
    results["contenders"][key] = {
        "name": contender.name,
        "peer": contender.peer,
        "tuned": contender.tuned,
        **measurement.as_values(),
    }


def _check_agreement(probabilities: dict[str, float], reference: dict[str, float]) -> None:
    """Refuse a contender that answers otherwise than the first one: it would do other work."""
    if not reference:
        reference.update(probabilities)
    difference = max(abs(probabilities[label] - reference[label]) for label in reference)
    if difference > AGREEMENT:
        raise ContenderError(f"its probabilities differ from the others' by {difference:.2f}")


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _say(what: str) -> None:
    print(f"measuring: {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    os.chdir(Path(__file__).parents[1])
    try:
        typer.run(main)
    except LoadError as error:
        sys.exit(f"bench: {error}")
