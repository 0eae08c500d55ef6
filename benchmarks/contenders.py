"""The contenders: how each is started, and where it takes a clip."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from app.inference.engine import EngineName
from app.inference.threads import available_processors, one_thread_environment

ROOT: Final = Path(__file__).parents[1]
KERAS_ENVIRONMENT: Final = ROOT / ".venv-keras"
ONNX_ENVIRONMENT: Final = ROOT / ".venv-onnx"
PEERS_ENVIRONMENT: Final = ROOT / ".venv-peers"
WORKERS: Final = available_processors()

# One thread a worker, as Hark has it. Without these, each worker starts a thread a processor for
# every product, and they wait for each other: it triples what LitServe and BentoML answer.
ONE_THREAD: Final = {
    **one_thread_environment(),
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
}


@dataclass(frozen=True, slots=True)
class Contender:
    """A service.

    Attributes:
        name: what the table calls it.
        environment: the virtual environment that it runs in.
        command: its command line, for a port; the first word is a program of the environment.
        path: where clips are posted.
        variables: environment variables.
        engine: which of Hark's engines it runs, if it is Hark.
        peer: whether it is a model server as its own documentation would have it.
        tuned: whether it is one with what its documentation does not tell.
    """

    name: str
    environment: Path
    command: Callable[[int], list[str]]
    path: str
    variables: dict[str, str] = field(default_factory=dict)
    engine: EngineName | None = None
    peer: bool = False
    tuned: bool = False

    def command_line(self, port: int) -> list[str]:
        """Return the command that serves on a port."""
        program, *arguments = self.command(port)
        return [str(self.environment / "bin" / program), *arguments]

    @property
    def installed(self) -> bool:
        """Whether its program is there."""
        return Path(self.command_line(0)[0]).exists()


def _hark(engine: EngineName, environment: Path) -> Contender:
    return Contender(
        name=f"Hark, {engine}",
        environment=environment,
        command=lambda port: ["hark", "serve", "--port", str(port)],
        path="/v1/classify",
        variables={"HARK_ENGINE": engine},
        engine=engine,
    )


def _peer(name: str, command: Callable[[int], list[str]], **variables: str) -> Contender:
    return Contender(name, PEERS_ENVIRONMENT, command, "/predict", variables, peer=True)


def _tuned(peer: Contender) -> Contender:
    return replace(
        peer,
        name=f"{peer.name}, one thread a worker",
        variables={**peer.variables, **ONE_THREAD},
        peer=False,
        tuned=True,
    )


_LITSERVE: Final = _peer(
    "LitServe",
    lambda port: [
        *("python", "-m", "benchmarks.services.litserve_service", str(port), str(WORKERS)),
    ],
)
_BENTOML: Final = _peer(
    "BentoML",
    lambda port: [
        *("bentoml", "serve", "benchmarks.services.bentoml_service:SoundService"),
        *("--port", str(port)),
    ],
    BENCHMARK_WORKERS=str(WORKERS),
    BENTOML_DO_NOT_TRACK="True",
)
_RAY: Final = _peer(
    "Ray Serve",
    lambda port: ["python", "-m", "benchmarks.services.ray_service", str(port), str(WORKERS)],
    RAY_USAGE_STATS_ENABLED="0",  # it sets one thread a worker itself
)

CONTENDERS: Final[dict[str, Contender]] = {
    "hark-keras": _hark("keras", KERAS_ENVIRONMENT),
    "hark-onnx": _hark("onnx", ONNX_ENVIRONMENT),
    "tutorial": Contender(
        name="FastAPI tutorial",
        environment=Path(sys.prefix),
        command=lambda port: [
            *("uvicorn", "benchmarks.services.tutorial:app", "--port", str(port)),
            "--no-access-log",
        ],
        path="/predict",
    ),
    "litserve": _LITSERVE,
    "litserve-tuned": _tuned(_LITSERVE),
    "bentoml": _BENTOML,
    "bentoml-tuned": _tuned(_BENTOML),
    "ray": _RAY,
}
