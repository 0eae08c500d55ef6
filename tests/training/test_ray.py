"""Ray: the same figures as on one machine, also where a machine is lost in the middle."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.ray_cluster import with_address
from tests.ray_nodes import QUIET, Nodes, kill, ray_nodes, wait_until, works_at
from tests.tiny_model import RECIPE, TinyModel, write_data
from tests.training.test_cli import HarkTrain
from tests.training.test_cli import hark_train as hark_train
from training.run_error import RunError

TRAIN = "from training.cli import main; main()"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        pytest.param(["--ray"], ["--ray", "local"], id="last"),
        pytest.param(
            ["--ray", "--out", "x"], ["--ray", "local", "--out", "x"], id="an option next"
        ),
        pytest.param(["--ray", "auto", "--out"], ["--ray", "auto", "--out"], id="an address"),
        pytest.param(["--data", "x"], ["--data", "x"], id="none"),
    ],
)
def test_ray_alone_means_one_that_is_started_here(
    arguments: list[str], expected: list[str]
) -> None:
    assert with_address(arguments) == expected


def test_where_no_cluster_answers_one_sentence_says_so(
    hark_train: HarkTrain, tiny: TinyModel
) -> None:
    with socket.socket() as unused:  # bound, and not listening
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        finished = hark_train(
            *("cross-validate", tiny.recipe, "--data", tiny.data, "--ray", address)
        )
    assert finished.status == 1
    assert f"hark-train: no Ray cluster can be joined at {address}" in finished.complaint


@pytest.fixture
def longer(tmp_path: Path) -> TinyModel:
    """The tiny model's data, and a recipe whose fits last for seconds."""
    sounds = TinyModel(tmp_path / "sounds")
    write_data(sounds)
    sounds.recipe.write_text(
        RECIPE.replace("epochs = 8", "epochs = 40").replace("patience = 3", "patience = 40")
    )
    return sounds


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    with ray_nodes() as started:
        yield started


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_node_that_is_killed_costs_time_and_nothing_else(
    longer: TinyModel, nodes: Nodes, tmp_path: Path
) -> None:
    alone, out = tmp_path / "alone", tmp_path / "out"
    arguments = [
        *("cross-validate", str(longer.recipe), "--data", str(longer.data)),
        *("--cache", str(longer.cache), "--threads", "1"),
    ]
    command = [sys.executable, "-c", TRAIN, *arguments]
    subprocess.run([*command, "--out", str(alone)], check=True, capture_output=True)

    nodes.start_head()
    doomed = nodes.start_worker()
    run = subprocess.Popen(
        [*command, "--out", str(out), "--ray", nodes.address],
        env={**os.environ, **QUIET}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    wait_until(lambda: run.poll() is not None or len(kept_by(out)) >= 2)
    assert run.poll() is None, run.communicate()[1]
    assert works_at(doomed, "ray::_do")
    kill(doomed)
    _, complaints = run.communicate(timeout=300)
    assert run.returncode == 0, complaints
    assert (out / "metrics.json").read_bytes() == (alone / "metrics.json").read_bytes()
    assert json.loads((out / "metrics.json").read_bytes())["rounds"]


def kept_by(out: Path) -> list[Path]:
    """Return the checkpoints of a run: one for each fit that has begun."""
    return list((out / "unfinished").glob("*.npz"))


def twice(shared: int, piece: int) -> int:
    if piece == 3:
        raise RunError("three is too many")
    return shared * piece


# In a process of its own: Ray reads how it is to authenticate once a process.
IN_ORDER = """
import sys
from tests.training.test_ray import twice
from training.ray_workers import RayWorkers, cluster
from training.run_error import RunError

with cluster(sys.argv[1], threads=1):
    workers = RayWorkers(threads=1, pieces_a_task=2)
    print(list(workers.run(twice, 2, [4, 1, 2, 0, 5])))
    try:
        list(workers.run(twice, 2, [1, 2, 3]))
    except RunError as error:
        print(error)
try:
    with cluster(sys.argv[1], threads=64):
        pass
except RunError as error:
    print(error)
"""


@pytest.mark.slow
def test_results_come_in_order_and_an_error_as_it_was_raised(nodes: Nodes) -> None:
    nodes.start_head()
    finished = subprocess.run(
        [sys.executable, "-c", IN_ORDER, nodes.address],
        env={**os.environ, **QUIET}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.splitlines() == [
        "[8, 2, 4, 0, 10]",
        "three is too many",
        "no node of the Ray cluster has the 64 processors that a fit takes: set fewer by --threads",
    ]
