"""POST /v1/classify and its two longer forms, over a real socket."""

import math
from pathlib import Path

import httpx
import pytest

from tests.conftest import SAMPLES

CLASSES = {
    "air_conditioner", "car_horn", "children_playing", "dog_bark", "drilling",
    "engine_idling", "gun_shot", "jackhammer", "siren", "street_music",
}  # fmt: skip


def classify(client: httpx.Client, path: Path, url: str = "/v1/classify") -> httpx.Response:
    return client.post(url, files={"file": (path.name, path.read_bytes())})


@pytest.mark.parametrize("sample", sorted(SAMPLES.glob("*.wav")), ids=lambda path: path.stem)
def test_a_sample_gets_the_documented_answer(client: httpx.Client, sample: Path) -> None:
    response = classify(client, sample)
    assert response.status_code == 200
    answer = response.json()
    assert set(answer) == {
        "model", "duration_seconds", "truncated", "label", "silence", "uncertain",
        "probabilities", "top", "events",
    }  # fmt: skip
    assert (answer["truncated"], answer["silence"], answer["uncertain"]) == (False,) * 3
    assert answer["model"]["name"] == "urbansound"
    assert answer["duration_seconds"] == pytest.approx(4.0, abs=0.01)
    assert set(answer["probabilities"]) == CLASSES
    assert math.fsum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-9)
    best = max(answer["probabilities"], key=answer["probabilities"].get)
    assert answer["label"] == best == answer["top"][0]["label"]
    assert answer["top"] == sorted(answer["top"], key=lambda item: -item["probability"])


@pytest.mark.parametrize("sample", sorted(SAMPLES.glob("*.wav")), ids=lambda path: path.stem)
def test_wav_and_mp3_of_a_sample_get_the_same_label(client: httpx.Client, sample: Path) -> None:
    as_wav = classify(client, sample).json()
    as_mp3 = classify(client, sample.with_suffix(".mp3")).json()
    assert as_wav["label"] == as_mp3["label"]


def test_the_longer_forms_answer_the_same(client: httpx.Client) -> None:
    sample = SAMPLES / "siren.wav"
    expected = classify(client, sample).json()
    version = expected["model"]["version"]
    by_name = classify(client, sample, "/v1/models/urbansound/classify").json()
    by_version = classify(
        client, sample, f"/v1/models/urbansound/versions/{version}/classify"
    ).json()
    assert by_name == by_version == expected


@pytest.mark.parametrize("top_k", [1, 3, 10])
def test_top_k_limits_top_and_nothing_else(client: httpx.Client, top_k: int) -> None:
    answer = classify(client, SAMPLES / "siren.wav", f"/v1/classify?top_k={top_k}").json()
    assert len(answer["top"]) == top_k
    assert len(answer["probabilities"]) == 10


def test_the_file_name_and_type_do_not_matter(client: httpx.Client) -> None:
    data = (SAMPLES / "siren.mp3").read_bytes()
    plain = client.post("/v1/classify", files={"file": ("siren.mp3", data, "audio/mpeg")})
    odd = client.post("/v1/classify", files={"file": ("Ωσ/../x.txt", data, "text/plain")})
    assert odd.status_code == 200
    assert odd.json() == plain.json()


def test_other_parts_of_the_form_are_passed_over(client: httpx.Client) -> None:
    data = (SAMPLES / "siren.wav").read_bytes()
    response = client.post("/v1/classify", data={"comment": "x" * 1000}, files={"file": data})
    assert response.status_code == 200


def test_a_chunked_body_is_received(client: httpx.Client) -> None:
    body = (
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="s"\r\n\r\n'
        + (SAMPLES / "siren.wav").read_bytes()
        + b"\r\n--b--\r\n"
    )
    pieces = (body[start : start + 10_007] for start in range(0, len(body), 10_007))
    response = client.post(
        "/v1/classify",
        content=pieces,
        headers={"Content-Type": "multipart/form-data; boundary=b"},
    )
    assert response.status_code == 200
    assert response.json() == classify(client, SAMPLES / "siren.wav").json()
