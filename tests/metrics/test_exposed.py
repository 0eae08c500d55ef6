"""What /metrics exposes of a real service: every metric that is defined, and what it counts."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final

import httpx
import numpy as np
import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families
from scipy.spatial.distance import jensenshannon

from app.audio.source import Source
from app.metrics import definitions
from app.metrics.definitions import GROUPS, STAGES
from app.metrics.inputs import CHANNELS, FORMATS, SAMPLE_RATES, classes_of
from app.settings import DEFAULT_MODEL_STORE
from tests.api.test_operations import metric
from tests.api.test_problems import wav
from tests.clients.live_audio import sound, streamed
from tests.conftest import SAMPLES
from tests.live_server import LiveServer, live_server
from tests.two_versions import eventually

TRACE: Final = "4bf92f3577b34da6a3ce929d0e0e4736"
OPENMETRICS: Final = {"Accept": "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"}
# Minutes of noise: time enough to look on while it is computed.
LONG_CLIP: Final = wav(np.random.default_rng(0).uniform(-0.5, 0.5, 4_000 * 900), 4_000, "PCM_U8")
DEFINED: Final = {each.name: each for group in GROUPS for each in group.metrics}


@pytest.fixture(scope="module")
def counting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """One compute process, and few clips to tell drift from."""
    log = tmp_path_factory.mktemp("counting") / "log"
    settings = {"HARK_DRIFT_CLIPS": "10", "HARK_MAX_AUDIO_SECONDS": "1000"}
    with live_server(log, HARK_ENGINE="onnx", HARK_WORKERS="1", **settings) as running:
        yield running


@pytest.fixture
def client(counting: LiveServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=counting.url, timeout=60) as http_client:
        yield http_client


def classify(client: httpx.Client, data: bytes, **headers: str) -> httpx.Response:
    return client.post("/v1/classify", files={"file": data}, headers=headers)


def clip(name: str) -> bytes:
    return (SAMPLES / name).read_bytes()


@contextmanager
def counted(client: httpx.Client, name: str, by: float, **labels: str) -> Iterator[None]:
    """Check how much is counted within the context."""
    before = metric(client, name, **labels)
    yield
    assert metric(client, name, **labels) == before + by, (name, labels)


def families(client: httpx.Client) -> dict[str, Metric]:
    text = client.get("/metrics").text
    return {family.name: family for family in text_string_to_metric_families(text)}


def openmetrics_families(text: str) -> list[Metric]:
    return list(openmetrics.text_string_to_metric_families(text))  # type: ignore[no-untyped-call]


# Conventions


def test_every_metric_that_is_defined_is_exposed_and_no_other(
    counting: LiveServer, client: httpx.Client
) -> None:
    assert classify(client, clip("siren.wav")).status_code == 200
    assert classify(client, b"no sound").status_code == 415
    streamed(counting, sound(1.0))
    exposed = families(client)
    ours = {name: family for name, family in exposed.items() if name.startswith("hark_")}
    assert set(ours) == set(DEFINED)
    for name, family in ours.items():
        defined = DEFINED[name]
        assert (family.type, family.documentation) == (defined.kind, defined.help), name
        assert family.samples, name
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(defined.labels), name
    assert {"process_cpu_seconds", "process_resident_memory_bytes"} <= set(exposed)


def test_a_probe_is_no_request_that_is_turned_away(client: httpx.Client) -> None:
    # The service was asked again and again whether it is ready, until it was.
    assert metric(client, "hark_rejected_total", reason="not_ready") == 0
    asked = families(client)["hark_http_requests"].samples
    assert [each for each in asked if each.labels["code"] == "not_ready"]


@pytest.mark.skipif(shutil.which("promtool") is None, reason="there is no promtool")
def test_prometheus_finds_no_fault_with_names_and_units(client: httpx.Client) -> None:
    classify(client, clip("siren.wav"))
    finished = subprocess.run(
        ["promtool", "check", "metrics"],
        input=client.get("/metrics").text, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, "", "")


def test_openmetrics_comes_where_it_is_asked_for(client: httpx.Client) -> None:
    plain = client.get("/metrics")
    assert plain.headers["content-type"].startswith("text/plain; version=")
    asked = client.get("/metrics", headers=OPENMETRICS)
    assert asked.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert asked.text.endswith("# EOF\n")
    assert set(DEFINED) >= {
        family.name
        for family in openmetrics_families(asked.text)
        if family.name.startswith("hark_")
    }


@pytest.mark.parametrize(("flags", "is_kept"), [("01", True), ("00", False)], ids=["kept", "not"])
def test_an_exemplar_is_the_trace_of_a_request_if_that_is_kept(
    client: httpx.Client, flags: str, is_kept: bool
) -> None:
    trace = TRACE[:-2] + flags
    traceparent = f"00-{trace}-00f067aa0ba902b7-{flags}"
    assert classify(client, clip("siren.wav"), traceparent=traceparent).status_code == 200
    text = client.get("/metrics", headers=OPENMETRICS).text
    exemplars = [
        (family.name, sample.labels["route"], sample.exemplar.labels)
        for family in openmetrics_families(text)
        for sample in family.samples
        if sample.exemplar is not None and trace in sample.exemplar.labels.values()
    ]
    expected = (definitions.REQUEST_SECONDS.name, "/v1/classify", {"trace_id": trace})
    assert exemplars == ([expected] if is_kept else [])


# What is counted


def test_a_request_is_counted_by_what_came_of_it(client: httpx.Client) -> None:
    route = {"method": "POST", "route": "/v1/classify"}
    answered, refused = {**route, "status": "200", "code": ""}, {**route, "status": "415"}
    count = "hark_http_request_duration_seconds_count"
    with (
        counted(client, "hark_http_requests_total", 2, **answered),
        counted(client, count, 2, **answered),
        counted(client, "hark_http_requests_total", 1, **refused, code="not_audio"),
        counted(client, count, 1, **refused, code="not_audio"),
        counted(client, "hark_errors_total", 1, code="not_audio"),
        counted(client, "hark_rejected_total", 0),
    ):
        for data in (clip("siren.wav"), b"no sound", clip("siren.mp3")):
            classify(client, data)


def test_each_stage_is_timed_once_a_clip_or_once_a_request(client: httpx.Client) -> None:
    name = "hark_stage_duration_seconds_count"
    before = {stage: metric(client, name, stage=stage) for stage in STAGES}
    classify(client, clip("siren.wav"))
    two = [("file", clip("siren.wav")), ("file", clip("dog_bark.mp3"))]
    assert client.post("/v1/classify/batch", files=two).status_code == 200
    after = {stage: metric(client, name, stage=stage) for stage in STAGES}
    by = {stage: after[stage] - before[stage] for stage in STAGES}
    assert by == {stage: 2 if stage in ("receive", "respond") else 3 for stage in STAGES}
    assert metric(client, "hark_stage_duration_seconds_sum", stage="resample") > 0


def test_what_was_heard_is_counted(client: httpx.Client) -> None:
    data = clip("medley.mp3")
    of_model = {"model": "urbansound", "version": "1"}
    answer = classify(client, data).json()
    with (
        counted(client, "hark_predictions_total", 1, **of_model, label=answer["label"]),
        counted(client, "hark_predictions_total", 1),
        counted(client, "hark_uncertain_total", 1, **of_model),
        counted(client, "hark_silent_total", 0),
        counted(client, "hark_top_probability_count", 1, **of_model),
        counted(client, "hark_top_probability_bucket", 0, le="0.2"),
        counted(client, "hark_top_probability_bucket", 1, le="0.3"),
        counted(client, "hark_audio_seconds_total", 20.0),
        counted(client, "hark_upload_bytes_total", len(data)),
    ):
        assert classify(client, data).json()["uncertain"]


def test_silence_is_counted_and_is_no_drift(client: httpx.Client) -> None:
    path = "/v1/models/esc10/classify"  # which has heard nothing yet
    with (
        counted(client, "hark_silent_total", 1, model="esc10"),
        counted(client, "hark_uncertain_total", 1, model="esc10"),
        counted(client, "hark_drift_clips", 0, model="esc10"),
    ):
        assert client.post(path, content=wav(np.zeros(8_000))).json()["silence"]
    with counted(client, "hark_drift_clips", 1, model="esc10"):
        assert not client.post(path, content=clip("siren.wav")).json()["silence"]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (clip("siren.wav"), ("wav", "44100", "2")),
        (clip("medley.mp3"), ("mp3", "44100", "1")),
        (wav(np.ones((4_000, 3)) / 2, 5_000), ("wav", "other", "other")),
    ],
    ids=["wav", "mp3", "other"],
)
def test_the_mix_of_inputs_is_counted(
    client: httpx.Client, data: bytes, expected: tuple[str, str, str]
) -> None:
    labels = dict(zip(("format", "sample_rate", "channels"), expected, strict=True))
    with counted(client, "hark_inputs_total", 1, **labels), counted(client, "hark_inputs_total", 1):
        assert classify(client, data).status_code == 200


def test_whatever_a_compute_process_says_of_a_file_its_labels_are_few() -> None:
    invented = Source("<script>", -1, 10**9)
    assert classes_of(invented) == ("other",) * 3
    assert classes_of(None, is_live=True) == ("other",) * 3
    assert classes_of(Source("M4A", 48_000, 1)) == ("mp4", "48000", "1")
    assert len(FORMATS) * len(SAMPLE_RATES) * len(CHANNELS) < 600


def test_windows_of_live_streams_are_no_files(counting: LiveServer, client: httpx.Client) -> None:
    with (
        counted(client, "hark_upload_bytes_total", 0),
        counted(client, "hark_drift_clips", 0, model="esc10"),
        counted(client, "hark_inputs_total", 0, format="wav"),
        counted(client, "hark_inputs_total", 10, format="live", sample_rate="16000"),
    ):
        said = streamed(counting, sound(5.0), model="esc10", hop_seconds=0.5)
        assert len(said.results) == 10


def test_drift_is_the_distance_of_the_last_answers_from_validation(client: httpx.Client) -> None:
    clips = ["siren.wav", *["dog_bark.mp3", "car_horn.mp3"] * 3, *["siren.mp3"] * 4]
    heard = [classify(client, clip(name)).json()["label"] for name in clips][-10:]
    folder = DEFAULT_MODEL_STORE / "urbansound" / "1"
    recorded = json.loads((folder / "metrics.json").read_bytes())
    expected = jensenshannon(
        [heard.count(label) for label in recorded["labels"]],
        np.sum(recorded["together"]["confusion_matrix"], axis=0),
        base=2,
    )
    found = metric(client, "hark_drift_distance", model="urbansound", distribution="labels")
    assert found == pytest.approx(expected)
    assert metric(client, "hark_drift_clips", model="urbansound") == 10
    distances = families(client)["hark_drift_distance"].samples
    known = {sample.labels["distribution"] for sample in distances}
    assert known == {"labels", "top_probability"}


def test_what_works_and_what_waits_is_told_while_it_does(client: httpx.Client) -> None:
    gauges = {"hark_workers_busy": 1, "hark_queue_depth": 2, "hark_requests_in_flight": 3}
    with ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(classify, client, LONG_CLIP) for _ in range(3)]
        assert eventually(lambda: all(metric(client, name) == n for name, n in gauges.items()))
        assert {answer.result().status_code for answer in asked} == {200}
    assert [metric(client, name) for name in gauges] == [0, 0, 0]


def test_processor_time_outlives_the_processes(counting: LiveServer, client: httpx.Client) -> None:
    seconds: list[float] = []

    def note() -> bool:
        seconds.append(metric(client, "hark_cpu_seconds_total", process="compute"))
        return metric(client, "hark_workers_ready") == 1

    assert note()
    loads = {"model": "esc10", "version": "1"}
    before = metric(client, "hark_model_load_duration_seconds_count", **loads)
    (worker,) = counting.worker_process_ids()
    os.kill(worker, signal.SIGKILL)
    assert eventually(lambda: not note())
    assert eventually(note)
    assert seconds[0] > 0.5
    assert seconds == sorted(seconds)
    assert metric(client, "hark_worker_restarts_total", cause="crashed") == 1
    assert metric(client, "hark_workers_alive") == 1
    assert metric(client, "hark_model_load_duration_seconds_count", **loads) == before + 1
    for process in ("http", "compute"):
        assert 20e6 < metric(client, "hark_resident_memory_bytes", process=process) < 1e9
