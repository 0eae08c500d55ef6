"""Options: what is looked at, and how much is told; windows, events, CSV, label tracks."""

import csv
import io
import itertools
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile

from tests.conftest import SAMPLES
from tests.sounds import encode

RATE_HZ = 44_100
ORDER = ("siren", "dog_bark", "jackhammer", "car_horn")


@pytest.fixture(scope="module")
def medley() -> bytes:
    """Four sounds of four seconds each, four seconds of silence, and the first sound again.

    They fade in and out: an edge would ring in the resampler, into the silence beside it.
    """
    ramp = np.clip(np.arange(4 * RATE_HZ) / 2_000, 0, 1)[:, np.newaxis]
    fade = ramp * ramp[::-1]
    sounds = [fade * soundfile.read(SAMPLES / f"{name}.wav", always_2d=True)[0] for name in ORDER]
    silence = np.zeros((4 * RATE_HZ, 2))
    return encode(np.concatenate([*sounds, silence, sounds[0]]), RATE_HZ)


def ask(client: httpx.Client, data: bytes, **options: Any) -> dict[str, Any]:
    response = client.post("/v1/classify", params=options, content=data)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def test_a_long_recording_becomes_events_with_times(client: httpx.Client, medley: bytes) -> None:
    answer = ask(client, medley)
    assert answer["duration_seconds"] == 24
    heard = [(e["label"], e["start_seconds"], e["end_seconds"]) for e in answer["events"]]
    assert heard == [
        *((label, 4.0 * place, 4.0 * place + 4) for place, label in enumerate(ORDER)),
        ("siren", 20.0, 24.0),
    ]
    assert "windows" not in answer


def test_windows_have_times_and_say_what_is_silent(client: httpx.Client, medley: bytes) -> None:
    windows = ask(client, medley, windows=True)["windows"]
    assert [window["start_seconds"] for window in windows] == [0, 4, 8, 12, 16, 20]
    assert [window["end_seconds"] for window in windows] == [4, 8, 12, 16, 20, 24]
    assert [window["silence"] for window in windows] == [False] * 4 + [True, False]
    assert [w["label"] for w in windows if not w["silence"]] == [*ORDER, "siren"]


def test_a_short_hop_makes_windows_that_overlap(client: httpx.Client, medley: bytes) -> None:
    answer = ask(client, medley, windows=True, hop_seconds=0.5)
    starts = [window["start_seconds"] for window in answer["windows"]]
    assert starts == [0.5 * n for n in range(41)]
    whole = ask(client, medley, windows=True)["windows"]
    by_start = {window["start_seconds"]: window for window in answer["windows"]}
    for window in whole:  # the same windows, among others
        again = by_start[window["start_seconds"]]
        assert again["probabilities"] == pytest.approx(window["probabilities"], abs=1e-5)
    for event, after in itertools.pairwise(answer["events"]):
        assert event["start_seconds"] <= after["start_seconds"]


def test_a_part_is_answered_as_if_it_were_alone(client: httpx.Client, medley: bytes) -> None:
    answer = ask(client, medley, windows=True, start_seconds=8, end_seconds=12)
    samples, _ = soundfile.read(io.BytesIO(medley))
    alone = ask(client, encode(samples[8 * RATE_HZ : 12 * RATE_HZ], RATE_HZ), windows=True)
    assert answer["probabilities"] == alone["probabilities"]
    assert answer["duration_seconds"] == 4
    assert answer["windows"][0]["start_seconds"] == 8
    assert answer["events"][0]["end_seconds"] == 12


def test_the_threshold_bounds_top_and_events(client: httpx.Client, medley: bytes) -> None:
    low = ask(client, medley, threshold=0.01)
    high = ask(client, medley, threshold=0.999999)
    assert all(each["probability"] >= 0.01 for each in low["top"])
    assert high["top"] == high["events"] == []
    assert len(low["events"]) > len(ask(client, medley)["events"])
    assert low["probabilities"] == high["probabilities"]


def test_an_allow_list_leaves_the_probabilities_as_they_are(client: httpx.Client) -> None:
    data = (SAMPLES / "siren.wav").read_bytes()
    whole = ask(client, data)
    part = ask(client, data, labels="dog_bark, car_horn", windows=True)
    expected = {label: whole["probabilities"][label] for label in ("car_horn", "dog_bark")}
    assert part["probabilities"] == expected
    assert part["label"] == max(expected, key=expected.__getitem__)
    assert part["events"] == []
    assert set(part["windows"][0]["probabilities"]) == set(expected)


@pytest.mark.parametrize("level", [0.0, 1e-5])
def test_silence_is_said_to_be_silence(client: httpx.Client, level: float) -> None:
    noise = level * np.random.default_rng(0).standard_normal(2 * RATE_HZ)
    answer = ask(client, encode(noise, RATE_HZ))
    assert (answer["silence"], answer["uncertain"], answer["events"]) == (True, True, [])
    assert not ask(client, encode(0.01 + 300 * noise + 0.01, RATE_HZ))["silence"] or level == 0


EVENT_HEADER = ["start_seconds", "end_seconds", "label", "probability"]


@pytest.mark.parametrize(
    ("options", "headers"),
    [
        ({"format": "csv"}, {}),
        ({}, {"Accept": "text/csv"}),
        ({}, {"Accept": "application/json;q=0.5, text/csv"}),
        ({}, {"Accept": "text/*, */*;q=0.1"}),
        ({"format": "csv"}, {"Accept": "application/json"}),
    ],
)
def test_events_come_as_csv(
    client: httpx.Client, medley: bytes, options: dict[str, str], headers: dict[str, str]
) -> None:
    response = client.post("/v1/classify", params=options, content=medley, headers=headers)
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    header, *rows = csv.reader(io.StringIO(response.text))
    assert header == EVENT_HEADER
    assert [(float(row[0]), row[2]) for row in rows] == [
        *((4.0 * place, label) for place, label in enumerate(ORDER)),
        (20.0, "siren"),
    ]


@pytest.mark.parametrize(
    "accept",
    [
        *("*/*", "application/json, text/csv;q=0.9", "text/html", "text/csv;q=0", ";;,q=x"),
        *("text/csv;q=0.5, */*", "text/csv;q=0.4, application/*", "*/*, text/*;q=0.5"),
    ],
)
def test_json_comes_where_nothing_else_is_asked_for(client: httpx.Client, accept: str) -> None:
    data = (SAMPLES / "siren.wav").read_bytes()
    response = client.post("/v1/classify", content=data, headers={"Accept": accept})
    assert response.headers["content-type"] == "application/json"


def test_windows_come_as_csv(client: httpx.Client, medley: bytes) -> None:
    response = client.post("/v1/classify?format=csv&windows=true", content=medley)
    rows = list(csv.DictReader(io.StringIO(response.text)))
    assert len(rows) == 6
    assert [row["silence"] for row in rows] == ["false"] * 4 + ["true", "false"]
    expected = ask(client, medley, windows=True)["windows"]
    for row, window in zip(rows, expected, strict=True):
        probabilities = {label: float(row[label]) for label in window["probabilities"]}
        assert probabilities == window["probabilities"]


def test_events_come_as_a_label_track_for_audacity(client: httpx.Client, medley: bytes) -> None:
    response = client.post("/v1/classify?format=audacity", content=medley)
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert response.text.splitlines()[:2] == [
        "0.000000\t4.000000\tsiren",
        "4.000000\t8.000000\tdog_bark",
    ]


@pytest.mark.parametrize(
    ("name", "query"),
    [
        ("top_k", "top_k=0"),
        ("top_k", "top_k=many"),
        ("threshold", "threshold=1.1"),
        ("threshold", "threshold=nan"),
        ("labels", "labels=tuba"),
        ("labels", "labels="),
        ("windows", "windows=perhaps"),
        ("hop_seconds", "hop_seconds=0.01"),
        ("hop_seconds", "hop_seconds=4.1"),
        ("start_seconds", "start_seconds=-1"),
        ("start_seconds", "start_seconds=4"),
        ("end_seconds", "end_seconds=0"),
        ("end_seconds", "start_seconds=2&end_seconds=1"),
        ("format", "format=xml"),
        ("topk", "topk=3"),
    ],
)
def test_a_wrong_value_is_refused_by_its_name(client: httpx.Client, name: str, query: str) -> None:
    data = (SAMPLES / "siren.wav").read_bytes()
    response = client.post(f"/v1/classify?{query}", content=data)
    assert (response.status_code, response.json()["code"]) == (422, "invalid_parameter")
    assert response.json()["detail"].startswith(name), response.json()["detail"]


def test_too_many_windows_are_refused(client: httpx.Client) -> None:
    minutes = encode(np.zeros(8_000 * 300), 8_000)
    response = client.post("/v1/classify?hop_seconds=0.05", content=minutes)
    assert response.status_code == 422
    assert response.json()["detail"].startswith("hop_seconds: 0.05 cuts this audio into 592")


def test_every_option_has_an_example_that_runs(client: httpx.Client) -> None:
    data = (SAMPLES / "siren.wav").read_bytes()
    operation = client.get("/openapi.json").json()["paths"]["/v1/classify"]["post"]
    options = {each["name"]: each["schema"]["examples"] for each in operation["parameters"]}
    assert set(options) == {
        "top_k", "threshold", "labels", "windows", "hop_seconds", "start_seconds", "end_seconds",
        "format",
    }  # fmt: skip
    for name, examples in options.items():
        for example in examples:
            response = client.post("/v1/classify", params={name: example}, content=data)
            assert response.status_code == 200, (name, example, response.text)
