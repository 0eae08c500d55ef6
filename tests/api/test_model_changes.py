"""Changes of the versions that serve: while requests are answered, and none is lost or mixed up."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from app.api_keys import hash_of, make_key
from tests.api.test_operations import metric
from tests.api.test_problems import check_problem, wav
from tests.live_server import LiveServer, live_server
from tests.two_versions import (
    NAME,
    SIREN,
    Damage,
    TwoVersions,
    eventually,
    label_of_siren,
    labels_of,
    with_flipped_byte,
    with_other_probe,
    without_file,
)

KEY = make_key()
SHORT_CLIP = wav(np.random.default_rng(0).uniform(-0.5, 0.5, 4_000), 8_000, "PCM_16")


@dataclass
class Changing:
    """A server, the store that it serves, and a client that may administer it."""

    server: LiveServer
    store: TwoVersions
    client: httpx.Client

    def reload(self, name: str = NAME) -> dict[str, Any]:
        response = self.client.post(f"/v1/models/{name}/reload")
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer

    def refused(self, name: str = NAME) -> str:
        """Ask for a change that is refused, and return why."""
        response = self.client.post(f"/v1/models/{name}/reload")
        check_problem(response, 409, "reload_refused")
        detail: str = response.json()["detail"]
        return detail

    def classify(self, path: str = "", data: bytes = SIREN) -> httpx.Response:
        return self.client.post(f"/v1{path}/classify", files={"file": data})

    def version(self, path: str = "", data: bytes = SIREN) -> int:
        """Return the version that answers."""
        response = self.classify(path, data)
        assert response.status_code == 200, response.text
        version: int = response.json()["model"]["version"]
        return version

    def models(self) -> dict[str, Any]:
        return {model["name"]: model for model in self.client.get("/v1/models").json()["models"]}

    def models_that_serve(self) -> set[str]:
        """Return the models that answer, whatever is left of them in the store."""
        names = (NAME, "other")
        return {name for name in names if self.classify(f"/models/{name}").status_code == 200}

    def reloads(self, outcome: str, name: str = NAME) -> float:
        return metric(self.client, "hark_model_reloads_total", outcome=outcome, model=name)

    def processes(self) -> set[int]:
        """Return the compute processes, once those from before a change are gone."""
        assert eventually(lambda: len(self.server.worker_process_ids()) == 2)
        return self.server.worker_process_ids()

    def log_lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.server.log.read_text().splitlines()]


@contextmanager
def changing_server(folder: Path, **environment: str) -> Iterator[Changing]:
    store = TwoVersions(folder / "store")
    keys = folder / "keys.toml"
    keys.write_text(
        f'[[keys]]\nname = "operator"\nsha256 = "{hash_of(KEY)}"\nscopes = ["classify", "admin"]\n'
    )
    environment = {
        "HARK_MODEL_STORE": str(store.root),
        "HARK_API_KEYS_FILE": str(keys),
        "HARK_ENGINE": "onnx",
        "HARK_WORKERS": "2",
        "HARK_DRAIN_SECONDS": "0",
        **environment,
    }
    with (
        live_server(folder / "log", **environment) as server,
        httpx.Client(
            base_url=server.url, headers={"Authorization": f"Bearer {KEY}"}, timeout=60
        ) as client,
    ):
        yield Changing(server, store, client)


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Changing]:
    with changing_server(tmp_path_factory.mktemp("changing")) as changing:
        yield changing


@pytest.fixture
def changing(shared_server: Changing) -> Changing:
    """The server, with version 1 alone in its store."""
    # One after the other: new processes load what serves, so that has to be there.
    shared_server.store.remove_model("other")
    if "other" in shared_server.models_that_serve():
        shared_server.reload("other")
    shared_server.store.reset()
    shared_server.reload()
    assert shared_server.models().keys() == {NAME}
    assert shared_server.version() == 1
    assert shared_server.processes()
    return shared_server


def check_fits(response: httpx.Response) -> int:
    """Check that an answer is that of the version that it names, and return that version."""
    assert response.status_code == 200, response.text
    answer = response.json()
    version: int = answer["model"]["version"]
    assert list(answer["probabilities"]) == labels_of(version)
    assert answer["label"] == label_of_siren(version)
    return version


# A newer version


def test_a_new_version_serves_after_a_reload_and_not_before(changing: Changing) -> None:
    swapped = changing.reloads("swapped")
    changing.store.add(2)
    assert check_fits(changing.classify()) == 1
    assert changing.reload() == {
        "outcome": "swapped",
        "before": {"version": 1, "canary": None},
        "after": {"version": 2, "canary": None},
    }
    assert check_fits(changing.classify()) == 2
    assert changing.reloads("swapped") == swapped + 1


def test_the_models_tell_which_version_serves(changing: Changing) -> None:
    changing.store.add(2)
    assert changing.models()[NAME]["version"] == 1
    changing.reload()
    expected = {"name": NAME, "version": 2, "canary": None, "versions": [1, 2], "default": True}
    assert changing.models()[NAME] == expected
    described = changing.client.get(f"/v1/models/{NAME}").json()
    assert described["version"] == 2
    assert described["labels"] == labels_of(2)


def test_a_reload_without_anything_new_changes_nothing(changing: Changing) -> None:
    changing.store.add(2)
    changing.reload()
    processes = changing.processes()
    unchanged = changing.reloads("unchanged")
    serving = {"version": 2, "canary": None}
    assert changing.reload() == {"outcome": "unchanged", "before": serving, "after": serving}
    assert changing.server.worker_process_ids() == processes
    assert changing.reloads("unchanged") == unchanged + 1


def test_new_processes_take_over_and_the_old_ones_end(changing: Changing) -> None:
    before = changing.server.worker_process_ids()
    changing.store.add(2)
    changing.reload()
    assert eventually(lambda: not before & changing.server.worker_process_ids())
    assert len(changing.processes()) == 2
    ready = {"status": "ready", "workers_ready": 2, "workers": 2}
    assert changing.client.get("/readyz").json() == ready


def test_a_process_that_dies_after_the_change_comes_back_with_the_new_version(
    changing: Changing,
) -> None:
    changing.store.add(2)
    changing.reload()
    before = changing.processes()
    for process_id in before:
        os.kill(process_id, signal.SIGKILL)
    assert eventually(lambda: not before & changing.server.worker_process_ids())
    changing.server.wait_until("/readyz")
    assert check_fits(changing.classify()) == 2


def test_a_version_that_is_taken_away_gives_way_to_the_one_before(changing: Changing) -> None:
    changing.store.add(2)
    changing.reload()
    changing.store.remove(2)
    assert changing.reload()["after"]["version"] == 1
    assert check_fits(changing.classify()) == 1


def test_no_request_fails_or_is_mixed_up_while_versions_change(changing: Changing) -> None:
    """Three clients that never pause, and two changes under them."""
    done = threading.Event()

    def ask() -> list[httpx.Response]:
        responses = []
        with httpx.Client(
            base_url=changing.server.url, headers=changing.client.headers, timeout=60
        ) as client:
            while not done.is_set():
                responses.append(client.post("/v1/classify", files={"file": SIREN}))
                responses.append(client.get("/readyz"))
        return responses

    with ThreadPoolExecutor(3) as pool:
        streams = [pool.submit(ask) for _ in range(3)]
        try:
            for version in (2, 3):
                changing.store.add(version)
                assert changing.reload()["outcome"] == "swapped"
                # What is asked for from now on is answered by the new version.
                assert check_fits(changing.classify()) == version
        finally:
            done.set()
        responses = [response for stream in streams for response in stream.result()]
    assert Counter(response.status_code for response in responses).keys() == {200}
    answers = [response for response in responses if response.url.path == "/v1/classify"]
    assert {check_fits(answer) for answer in answers} == {1, 2, 3}


def test_what_the_old_processes_are_computing_is_answered_by_them(changing: Changing) -> None:
    """Frozen processes stand for slow ones: they hold requests all through the change."""
    old = changing.server.worker_process_ids()
    changing.store.add(2)
    for process_id in old:
        os.kill(process_id, signal.SIGSTOP)
    try:
        with ThreadPoolExecutor(5) as pool:
            # More than there are processes: some are in hand, some wait for a process.
            held = [pool.submit(changing.classify) for _ in range(5)]
            in_flight = "hark_requests_in_flight"
            assert eventually(lambda: metric(changing.client, in_flight) == 5)
            assert changing.reload()["outcome"] == "swapped"
            assert check_fits(changing.classify()) == 2
            assert not any(request.done() for request in held)
            assert old <= changing.server.worker_process_ids(), "they ended with work in hand"
            for process_id in old:
                os.kill(process_id, signal.SIGCONT)
            assert [check_fits(request.result()) for request in held] == [1] * 5
    finally:
        for process_id in old & changing.server.worker_process_ids():
            os.kill(process_id, signal.SIGCONT)
    assert eventually(lambda: not old & changing.server.worker_process_ids())
    assert metric(changing.client, in_flight) == 0


def test_of_two_reloads_at_once_one_finds_nothing_left_to_do(changing: Changing) -> None:
    changing.store.add(2)
    with ThreadPoolExecutor(2) as pool:
        outcomes = [answer["outcome"] for answer in pool.map(lambda _: changing.reload(), range(2))]
    assert sorted(outcomes) == ["swapped", "unchanged"]
    assert check_fits(changing.classify()) == 2
    assert eventually(lambda: len(changing.server.worker_process_ids()) == 2)


def test_two_models_reloaded_at_once_serve_both(changing: Changing) -> None:
    changing.store.add(2)
    changing.store.add(3, name="other")
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(changing.reload, (NAME, "other")))
    assert [answer["outcome"] for answer in answers] == ["swapped", "swapped"]
    assert check_fits(changing.classify()) == 2
    assert check_fits(changing.classify("/models/other")) == 3


# A version that is refused

DAMAGES: dict[str, tuple[Damage, str]] = {
    "a byte of the model": (with_flipped_byte("model.onnx"), "model.onnx is not the file"),
    "a byte of the other model": (with_flipped_byte("model.keras"), "model.keras is not the file"),
    "a file is missing": (without_file("front_end.npz"), "front_end.npz missing"),
    "no manifest": (without_file("manifest.json"), "there is no manifest.json"),
    "another answer to the probe": (with_other_probe, "answers the probe differently"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_version_is_refused_and_the_one_before_serves_on(
    changing: Changing, name: str
) -> None:
    damage, reason = DAMAGES[name]
    processes, refusals = changing.server.worker_process_ids(), changing.reloads("refused")
    n_lines = len(changing.log_lines())
    changing.store.add(2, damage=damage)
    detail = changing.refused()
    assert f"{NAME}@2: " in detail
    assert reason in detail
    assert detail.endswith("Nothing has changed: urbansound@1 serves.")
    assert str(changing.store.root) not in detail, "a client learns where the store lies"

    assert changing.reloads("refused") == refusals + 1
    (line,) = (line for line in changing.log_lines()[n_lines:] if "is refused" in line["message"])
    assert line["level"] == "ERROR"
    assert line["model"] == NAME
    assert reason in line["reason"]

    assert check_fits(changing.classify()) == 1
    assert changing.models()[NAME]["version"] == 1
    assert processes <= changing.server.worker_process_ids()
    assert eventually(lambda: changing.server.worker_process_ids() == processes)
    changing.server.wait_until("/readyz")


def test_a_version_that_is_mended_is_taken(changing: Changing) -> None:
    changing.store.add(2, damage=with_other_probe)
    changing.refused()
    changing.store.remove(2)
    changing.store.add(2)
    assert changing.reload()["outcome"] == "swapped"
    assert check_fits(changing.classify()) == 2


def test_a_model_that_is_not_there_cannot_be_reloaded(changing: Changing) -> None:
    for name in ("nothing", "..", "%2e%2e", ".partial-1"):
        response = changing.client.post(f"/v1/models/{name}/reload")
        assert response.status_code == 404
    check_problem(changing.client.post("/v1/models/nothing/reload"), 404, "unknown_model")
    assert 'model="nothing"' not in changing.client.get("/metrics").text


def test_the_default_model_cannot_be_taken_away(changing: Changing) -> None:
    folder = changing.store.root / NAME
    folder.rename(changing.store.root / ".away")
    try:
        assert "There is no model 'urbansound' here" in changing.refused()
        assert check_fits(changing.classify()) == 1
    finally:
        (changing.store.root / ".away").rename(folder)


# Other ways to have it changed


def test_a_signal_reloads_every_model_and_one_refusal_keeps_no_other_from_it(
    changing: Changing,
) -> None:
    changing.store.add(2)
    changing.store.add(3, name="other")
    os.kill(changing.server.process.pid, signal.SIGHUP)
    assert eventually(lambda: changing.models().keys() == {NAME, "other"})
    assert eventually(lambda: changing.version() == 2)
    assert changing.version("/models/other") == 3

    refusals = changing.reloads("refused", "other")
    changing.store.add(4, name="other", damage=with_flipped_byte("model.onnx"))
    changing.store.add(3)
    os.kill(changing.server.process.pid, signal.SIGHUP)
    assert eventually(lambda: changing.version() == 3)
    assert changing.version("/models/other") == 3
    assert changing.reloads("refused", "other") == refusals + 1


def test_a_watched_store_is_served_as_it_changes(tmp_path: Path) -> None:
    with changing_server(tmp_path, HARK_WATCH_MODELS="true") as watching:
        watching.store.add(2)
        assert eventually(lambda: watching.version() == 2)
        watching.store.write_aliases({"stable": 1})
        assert eventually(lambda: watching.version() == 1)
        refused = watching.store.add(3, name="other", damage=with_flipped_byte("model.onnx"))
        assert eventually(lambda: watching.reloads("refused", "other") >= 1)
        assert watching.version() == 1
        assert refused.is_dir()
        assert watching.server.stop() == 0
    assert "Traceback" not in watching.server.log.read_text()


def test_a_store_that_is_not_watched_is_left_alone_until_asked(changing: Changing) -> None:
    changing.store.add(2)
    assert not eventually(lambda: changing.version() != 1, seconds=2)


# A second model


def test_a_second_model_appears_serves_beside_the_first_and_goes(changing: Changing) -> None:
    changing.store.add(2, name="other")
    check_problem(changing.classify("/models/other"), 404, "unknown_model")
    answer = changing.reload("other")
    assert answer == {
        "outcome": "swapped",
        "before": None,
        "after": {"version": 2, "canary": None},
    }
    response = changing.classify("/models/other")
    assert response.json()["model"] == {"name": "other", "version": 2}
    assert check_fits(response) == 2
    assert check_fits(changing.classify()) == check_fits(changing.classify(f"/models/{NAME}")) == 1
    assert {name: model["default"] for name, model in changing.models().items()} == {
        NAME: True,
        "other": False,
    }

    changing.store.remove(2, name="other")
    assert check_fits(changing.classify("/models/other")) == 2, "it serves until a reload"
    assert changing.reload("other") == {
        "outcome": "swapped",
        "before": {"version": 2, "canary": None},
        "after": None,
    }
    check_problem(changing.classify("/models/other"), 404, "unknown_model")
    check_problem(changing.client.post("/v1/models/other/reload"), 404, "unknown_model")
    assert check_fits(changing.classify()) == 1


def test_the_versions_of_two_models_are_exchanged_at_once(tmp_path: Path) -> None:
    """As a tool does that makes the store equal to another: the old versions are gone by then."""
    with changing_server(tmp_path) as changing:
        changing.store.add(1, name="other")
        changing.reload("other")
        for name in (NAME, "other"):
            changing.store.add(2, name=name)
            changing.store.remove(1, name=name)
        os.kill(changing.server.process.pid, signal.SIGHUP)
        assert eventually(lambda: changing.version() == 2, seconds=8), changing.log_lines()[-3:]
        assert eventually(lambda: changing.version("/models/other") == 2)


def test_the_other_models_are_listed_while_the_folder_of_one_is_gone(changing: Changing) -> None:
    changing.store.add(1, name="other")
    changing.reload("other")
    changing.store.remove(1, name="other")
    response = changing.client.get("/v1/models")
    assert response.status_code == 200, response.text
    assert NAME in {model["name"] for model in response.json()["models"]}


# Aliases


def test_a_promoted_version_serves_whatever_comes_after_it(changing: Changing) -> None:
    changing.store.add(2)
    changing.reload()
    promoted = changing.store.hark_models("promote", f"{NAME}@1")
    assert promoted.returncode == 0, promoted.stderr
    assert check_fits(changing.classify()) == 2, "it serves until a reload"
    changing.reload()
    assert check_fits(changing.classify()) == 1
    changing.store.add(3)
    assert changing.reload()["outcome"] == "unchanged"
    assert check_fits(changing.classify()) == 1
    assert changing.models()[NAME]["versions"] == [1, 2, 3]


def versions_of(changing: Changing, n_requests: int) -> Counter[int]:
    with ThreadPoolExecutor(4) as pool:
        asked = pool.map(lambda _: changing.version(data=SHORT_CLIP), range(n_requests))
        return Counter(asked)


def test_a_canary_answers_its_part_of_the_requests(changing: Changing) -> None:
    changing.store.add(2)
    changing.store.write_aliases({"stable": 1, "canary": 2, "canary_percent": 25})
    canary = {"version": 2, "percent": 25}
    assert changing.reload()["after"] == {"version": 1, "canary": canary}
    assert changing.models()[NAME]["canary"] == canary
    by_version = versions_of(changing, 400)
    # 100 are expected, and the deviation is 8.7: six of them, once in half a billion runs.
    assert by_version.keys() == {1, 2}
    assert 48 <= by_version[2] <= 152


@pytest.mark.parametrize(("percent", "expected"), [(0, 1), (100, 2)])
def test_a_canary_may_have_no_request_or_all(
    changing: Changing, percent: int, expected: int
) -> None:
    changing.store.add(2)
    changing.store.write_aliases({"stable": 1, "canary": 2, "canary_percent": percent})
    changing.reload()
    assert versions_of(changing, 30) == {expected: 30}
    assert changing.version(f"/models/{NAME}/versions/canary") == 2
    assert changing.version(f"/models/{NAME}/versions/stable") == 1


def test_another_share_needs_no_other_processes(changing: Changing) -> None:
    changing.store.add(2)
    changing.store.write_aliases({"stable": 1, "canary": 2, "canary_percent": 0})
    changing.reload()
    processes = changing.processes()
    changing.store.write_aliases({"stable": 1, "canary": 2, "canary_percent": 100})
    assert changing.reload()["outcome"] == "swapped"
    assert changing.version() == 2
    changing.store.write_aliases({"stable": 2, "canary": 1, "canary_percent": 0})
    assert changing.reload()["outcome"] == "swapped"
    assert changing.version() == 2
    assert changing.server.worker_process_ids() == processes


def test_a_version_can_be_asked_for_by_number_or_by_alias(changing: Changing) -> None:
    changing.store.add(2)
    changing.store.add(3)
    changing.store.write_aliases({"stable": 2, "canary": 3, "canary_percent": 10})
    changing.reload()
    expected = {"1": 1, "2": 2, "3": 3, "stable": 2, "canary": 3}
    for version, number in expected.items():
        assert check_fits(changing.classify(f"/models/{NAME}/versions/{version}")) == number
    check_problem(changing.classify(f"/models/{NAME}/versions/4"), 404, "unknown_version")


def test_an_alias_that_no_version_has_is_unknown(changing: Changing) -> None:
    check_problem(changing.classify(f"/models/{NAME}/versions/canary"), 404, "unknown_alias")
    assert changing.version(f"/models/{NAME}/versions/stable") == 1
    for spelling in ("newest", "Stable", "01", "-1", "1.0"):
        response = changing.classify(f"/models/{NAME}/versions/{spelling}")
        check_problem(response, 422, "invalid_parameter")


def test_a_damaged_version_that_is_asked_for_by_number_harms_no_other(changing: Changing) -> None:
    changing.store.add(2, damage=with_flipped_byte("model.onnx"))
    changing.store.add(3, damage=with_other_probe)
    processes = changing.server.worker_process_ids()
    for _ in range(3):  # more than there are processes: each gets one
        refused = changing.classify(f"/models/{NAME}/versions/2")
        check_problem(refused, 503, "model_corrupt")
        refused = changing.classify(f"/models/{NAME}/versions/3")
        check_problem(refused, 503, "model_probe_mismatch")
        assert check_fits(changing.classify()) == 1
    assert changing.server.worker_process_ids() == processes


BROKEN_ALIASES: dict[str, tuple[dict[str, object] | str, str]] = {
    "no JSON": ("stable = 1", "cannot be read"),
    "nothing": ("", "cannot be read"),
    "another type": ("[]", "cannot be read"),
    "a word for a number": ({"stable": "newest"}, "cannot be read"),
    "an unknown field": ({"stabel": 1}, "cannot be read"),
    "too many percent": ({"canary": 1, "canary_percent": 101}, "cannot be read"),
    "no number of percent": ('{"canary": 1, "canary_percent": NaN}', "cannot be read"),
    "percent of nothing": ({"canary_percent": 10}, "canary_percent without a canary"),
    "a stable that is not there": ({"stable": 9}, "names version 9, which is not in the store"),
    "a canary that is not there": ({"canary": 9}, "names version 9, which is not in the store"),
}


@pytest.mark.parametrize("name", BROKEN_ALIASES)
def test_aliases_that_cannot_be_followed_change_nothing(changing: Changing, name: str) -> None:
    content, reason = BROKEN_ALIASES[name]
    changing.store.add(2)
    changing.store.write_aliases(content)
    detail = changing.refused()
    assert "aliases.json" in detail
    assert reason in detail
    assert check_fits(changing.classify()) == 1


@pytest.mark.parametrize("name", ["no JSON", "a stable that is not there"])
def test_aliases_that_cannot_be_followed_stop_the_start_with_a_sentence(
    tmp_path: Path, name: str
) -> None:
    content, reason = BROKEN_ALIASES[name]
    store = TwoVersions(tmp_path / "store")
    store.write_aliases(content)
    environment = {"HARK_MODEL_STORE": str(store.root), "HARK_ENGINE": "onnx"}
    server = LiveServer(environment, tmp_path / "log")
    assert server.process.wait(timeout=30) == 1
    log = server.log.read_text()
    assert log.startswith(f"hark: {NAME}: aliases.json ")
    assert reason in log
    assert log.count("\n") == 1


# What a compute process keeps

KEEPING = """
import json, sys
from pathlib import Path
from app.audio.limits import DecodeLimits
from app.inference import compute
from app.inference.arena import Arena
from app.inference.store import ModelReference

arena = Arena(n_blocks=1, block_bytes=2_000_000)
block = arena.take()
block.write(Path(sys.argv[2]).read_bytes())
serving = ModelReference("urbansound", 1)
compute.start(compute.Start(Path(sys.argv[1]), arena.share(), "onnx", [serving], 1_000_000_000))
process = compute._process
for version in map(int, sys.argv[3:]):
    model = ModelReference("urbansound", version)
    had = {**process.classifiers, **process.on_demand}.get(model)
    answer = compute.classify(compute.Job(model, block.offset, block.length, DecodeLimits()))
    has = {**process.classifiers, **process.on_demand}[model]
    print(json.dumps({
        "answered": answer.model.version,
        "label": answer.label,
        "loaded": has is not had,
        "kept": [each.version for each in process.on_demand],
        "serving": [each.version for each in process.classifiers],
    }))
"""


def test_of_versions_that_do_not_serve_the_last_two_are_kept(tmp_path: Path) -> None:
    """In an interpreter of its own, which gets a limit to its memory that it keeps."""
    store = TwoVersions(tmp_path / "store")
    for version in (2, 3, 4):
        store.add(version)
    clip = tmp_path / "clip"
    clip.write_bytes(SIREN)
    asked = [1, 2, 2, 3, 2, 4, 3, 1]
    finished = subprocess.run(
        [sys.executable, "-c", KEEPING, store.root, clip, *map(str, asked)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    steps = [json.loads(line) for line in finished.stdout.splitlines()]
    assert [step["answered"] for step in steps] == asked
    assert [step["label"] for step in steps] == [label_of_siren(version) for version in asked]
    assert [step["kept"] for step in steps] == [
        [], [2], [2], [2, 3], [3, 2], [2, 4], [4, 3], [4, 3],
    ]  # fmt: skip
    loaded = [False, True, False, True, False, True, True, False]
    assert [step["loaded"] for step in steps] == loaded
    assert all(step["serving"] == [1] for step in steps)


# The end


@pytest.fixture
def stopping(tmp_path: Path) -> Iterator[Callable[..., LiveServer]]:
    """Starts servers that a test stops, and ends those that it did not."""
    started: list[LiveServer] = []

    def start(**environment: str) -> LiveServer:
        environment = {"HARK_ENGINE": "onnx", "HARK_WORKERS": "1", **environment}
        server = LiveServer(environment, tmp_path / f"log-{len(started)}")
        started.append(server)
        server.wait_until("/readyz")
        return server

    yield start
    for server in started:
        if server.process.poll() is None:
            server.process.kill()
            server.process.wait()


def test_requests_are_answered_while_the_service_says_that_it_will_stop(
    stopping: Callable[..., LiveServer],
) -> None:
    server = stopping(HARK_DRAIN_SECONDS="3")
    with httpx.Client(base_url=server.url, timeout=60) as client:
        before = client.post("/v1/classify", files={"file": SIREN})
        assert before.headers.get("connection", "keep-alive") == "keep-alive"
        server.process.send_signal(signal.SIGTERM)
        assert eventually(lambda: client.get("/readyz").status_code == 503, seconds=2.5)
        check_problem(client.get("/readyz"), 503, "not_ready")
        assert client.get("/livez").status_code == 200
        after = client.post("/v1/classify", files={"file": SIREN})
        assert check_fits(after) == 1
        assert after.headers["connection"] == "close"
    assert server.process.wait(timeout=30) == 0


def test_a_second_signal_ends_the_wait(stopping: Callable[..., LiveServer]) -> None:
    server = stopping(HARK_DRAIN_SECONDS="600")
    server.process.send_signal(signal.SIGTERM)
    assert eventually(lambda: httpx.get(f"{server.url}/readyz").status_code == 503, seconds=10)
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(timeout=30) == 0


def test_a_stop_during_a_change_leaves_no_process(tmp_path: Path) -> None:
    with changing_server(tmp_path) as stopping_server:
        server, store = stopping_server.server, stopping_server.store
        old = server.worker_process_ids()
        store.add(2)
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(stopping_server.client.post, f"/v1/models/{NAME}/reload")
            assert eventually(lambda: len(server.worker_process_ids()) == 4)
            processes = server.worker_process_ids()
            assert old < processes
            assert server.stop() == 0
            # Whether the change was done before the stop or not: the request is answered.
            assert answer.result().status_code in {200, 503}
    assert not any(Path(f"/proc/{process_id}").exists() for process_id in processes)
