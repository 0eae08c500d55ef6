"""What a request costs: processor time in the HTTP process and in the compute processes; memory.

    python -m benchmarks.demand --engine onnx

Processor time hardly depends on what else the machine does, so these figures carry further than
requests a second do. docs/scaling.md computes from them how many replicas a load needs.
"""

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer

from benchmarks.clips import clip
from benchmarks.load import check_load_generator, run_load
from benchmarks.measure import CONTAINERS, first_answer, free_port
from benchmarks.processes import ProcessTree

_CONNECTIONS_A_WORKER: Final = 4
_WARM_UP_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Demand:
    """What was measured of a service with so many compute processes, and clips of one kind.

    Attributes:
        workers: how many compute processes.
        container: `wav` or `mp3`.
        requests_per_second: how many requests it answered, the load generator on the same machine.
        http_milliseconds: of a processor in the HTTP process, for a request.
        compute_milliseconds: of a processor in the compute processes, for a request.
        memory_megabytes: all processes after the load, as proportional set size.
    """

    workers: int
    container: str
    requests_per_second: float
    http_milliseconds: float
    compute_milliseconds: float
    memory_megabytes: float

    def row(self) -> str:
        """Return a line of the table."""
        return (
            f"| {self.workers} | {self.container} | {self.requests_per_second:.0f} "
            f"| {self.http_milliseconds:.2f} | {self.compute_milliseconds:.2f} "
            f"| {self.memory_megabytes:.0f} |"
        )


HEADING: Final = """\
| compute processes | clip | requests/s | HTTP process, ms | compute processes, ms | memory, MB |
|---|---|---|---|---|---|"""


def main(
    engine: Annotated[str, typer.Option(help="keras or onnx.")] = "onnx",
    workers: Annotated[str, typer.Option(help="Numbers of compute processes.")] = "1,2",
    seconds: Annotated[float, typer.Option(help="How long each figure is measured.", min=1)] = 6.0,
) -> None:
    """Print a table of what requests of four seconds of audio cost."""
    check_load_generator()
    print(HEADING)
    for count in map(int, workers.split(",")):
        for demand in measure(engine, count, seconds):
            print(demand.row(), flush=True)


def measure(engine: str, workers: int, seconds: float) -> list[Demand]:
    """Measure a service with so many compute processes, by clips of each kind.

    Raises:
        ContenderError: it does not start.
        LoadError: it did not answer everything.
    """
    port = free_port()
    url = f"http://127.0.0.1:{port}/v1/classify"
    options = ("--port", str(port), "--engine", engine, "--workers", str(workers))
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "app.cli", "serve", *options]
        tree = ProcessTree(command, {"HARK_LOG_LEVEL": "warning"}, Path(folder) / "log")
        try:
            first_answer(url, tree)
            return [_measure_one(tree, url, workers, each, seconds) for each in CONTAINERS]
        finally:
            tree.stop()


def _measure_one(
    tree: ProcessTree, url: str, workers: int, container: str, seconds: float
) -> Demand:
    data = clip(container)
    connections = _CONNECTIONS_A_WORKER * workers
    run_load(url, data, connections, min(_WARM_UP_SECONDS, seconds))
    http_before, compute_before = tree.processor_seconds()
    load = run_load(url, data, connections, seconds)
    http, compute = tree.processor_seconds()
    n_requests = load.requests_per_second * max(1, round(seconds))
    return Demand(
        workers=workers,
        container=container,
        requests_per_second=load.requests_per_second,
        http_milliseconds=(http - http_before) / n_requests * 1e3,
        compute_milliseconds=(compute - compute_before) / n_requests * 1e3,
        memory_megabytes=tree.memory_bytes() / 1e6,
    )


if __name__ == "__main__":
    typer.run(main)
