"""Every hostile file gets its answer at once, and the same process serves the next request."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import httpx
import pytest

from tests.api.test_problems import check_problem
from tests.conftest import SAMPLES
from tests.hostile.corpus import CORPUS, HostileFile
from tests.live_server import LiveServer

GOOD: Final = (SAMPLES / "siren.mp3").read_bytes()
# What any of these may take: a good clip takes some milliseconds.
LONGEST_SECONDS: Final = 1.0
# Beyond this a file is left out where all are sent at a time.
LARGEST_OF_MANY: Final = 1_000_000


def post(client: httpx.Client, data: bytes) -> httpx.Response:
    return client.post("/v1/classify", files={"file": ("sound.wav", data)})


def timed_post(client: httpx.Client, data: bytes) -> tuple[httpx.Response, float]:
    """Post, and again where that took long: the machine may have been busy with something else."""
    for _ in range(5):
        started = time.monotonic()
        response = post(client, data)
        seconds = time.monotonic() - started
        if seconds < LONGEST_SECONDS:
            break
    return response, seconds


def check_answer(response: httpx.Response, file: HostileFile) -> None:
    if file.code is not None:
        check_problem(response, file.status, file.code)
    else:
        assert response.status_code == file.status, response.text
        assert response.json()["truncated"] == file.truncated
        assert sum(response.json()["probabilities"].values()) == pytest.approx(1)


@pytest.mark.parametrize("name", CORPUS)
def test_a_hostile_file_gets_its_answer_and_harms_nobody(
    hostile_server: LiveServer, hostile_client: httpx.Client, name: str
) -> None:
    workers = hostile_server.worker_process_ids()
    response, seconds = timed_post(hostile_client, CORPUS[name].make())
    check_answer(response, CORPUS[name])
    assert seconds < LONGEST_SECONDS
    assert post(hostile_client, GOOD).status_code == 200
    assert hostile_server.worker_process_ids() == workers


def test_all_of_them_at_a_time_get_the_answers_that_each_gets_alone(
    hostile_server: LiveServer, hostile_client: httpx.Client
) -> None:
    workers = hostile_server.worker_process_ids()
    alone = post(hostile_client, GOOD).json()
    files = {name: file.make() for name, file in CORPUS.items()}
    with ThreadPoolExecutor(16) as pool:
        answers = {
            name: pool.submit(post, hostile_client, data)
            for name, data in files.items()
            if len(data) <= LARGEST_OF_MANY
        }
        among_them = [pool.submit(post, hostile_client, GOOD) for _ in range(50)]
    for name, answer in answers.items():
        check_answer(answer.result(), CORPUS[name])
    assert all(answer.result().json() == alone for answer in among_them)
    assert hostile_server.worker_process_ids() == workers
