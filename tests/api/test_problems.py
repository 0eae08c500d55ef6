"""Every bad request: its status, its code, a sentence, and the next request is served."""

import http.client
import io
import json
from collections.abc import Iterator

import httpx
import numpy as np
import pytest
import soundfile

from tests.conftest import SAMPLES
from tests.live_server import LiveServer

FIELDS = {"type", "title", "status", "detail", "instance", "code", "request_id", "error"}


def check_problem(response: httpx.Response, status: int, code: str) -> None:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert set(problem) == FIELDS
    assert problem["status"] == status
    assert problem["code"] == code
    assert problem["type"] == f"urn:hark:problem:{code}"
    assert problem["request_id"] == response.headers["x-request-id"]
    assert problem["error"] == problem["detail"]
    assert problem["detail"].endswith(".") or "curl" in problem["detail"]
    assert "Traceback" not in response.text


@pytest.fixture(autouse=True)
def still_serving(client: httpx.Client) -> Iterator[None]:
    yield
    data = (SAMPLES / "siren.mp3").read_bytes()
    assert client.post("/v1/classify", files={"file": data}).status_code == 200


def wav(samples: object, rate: int = 8_000, subtype: str = "FLOAT") -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, subtype=subtype, format="WAV")
    return buffer.getvalue()


BAD_FILES = {
    "text": (b"to be or not to be\n" * 50, 415, "not_audio"),
    "zeros": (bytes(5_000), 415, "not_audio"),
    "png": (b"\x89PNG\r\n\x1a\n" + bytes(100), 415, "not_audio"),
    "nothing": (b"", 422, "empty_audio"),
    "header without samples": (wav(np.empty(0)), 422, "empty_audio"),
    "cut inside its header": (wav(np.ones(100))[:30], 422, "truncated_audio"),
    "not a number": (wav(np.full(8_000, np.nan)), 422, "invalid_samples"),
    "infinity": (wav(np.full(8_000, np.inf)), 422, "invalid_samples"),
    "absurdly loud": (wav(np.full(8_000, 1e30)), 422, "invalid_samples"),
    "601 seconds": (wav(np.zeros(4_000 * 601), 4_000, "PCM_U8"), 422, "audio_too_long"),
    "sampled at 100 Hz": (wav(np.zeros(100), 100), 422, "sample_rate_out_of_range"),
    "32 channels": (wav(np.zeros((100, 32))), 422, "too_many_channels"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_files(client: httpx.Client, name: str) -> None:
    data, status, code = BAD_FILES[name]
    response = client.post("/v1/classify", files={"file": ("sound.wav", data)})
    check_problem(response, status, code)


def test_no_file(client: httpx.Client) -> None:
    response = client.post("/v1/classify", files={"sound": b"x"})
    check_problem(response, 422, "missing_file")


def test_no_multipart(client: httpx.Client) -> None:
    check_problem(client.post("/v1/classify", json={}), 422, "missing_file")


def test_two_files(client: httpx.Client) -> None:
    response = client.post("/v1/classify", files=[("file", b"x"), ("file", b"y")])
    check_problem(response, 422, "duplicate_file")


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=b", b"no boundary at all"),
        ("multipart/form-data; boundary=b", b""),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nRIFF',
        ),
        ("multipart/form-data; boundary=" + "b" * 5_000, b"x"),
    ],
    ids=["no boundary", "other boundary", "no body", "cut off", "long boundary"],
)
def test_malformed_multipart(client: httpx.Client, content_type: str, body: bytes) -> None:
    response = client.post("/v1/classify", content=body, headers={"Content-Type": content_type})
    check_problem(response, 400, "malformed_upload")


def test_announced_size_is_refused_before_the_body(server: LiveServer) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.putrequest("POST", "/v1/classify")
    connection.putheader("Content-Type", "multipart/form-data; boundary=b")
    connection.putheader("Content-Length", "99999999")
    connection.endheaders()
    response = connection.getresponse()
    assert response.status == 413
    assert json.load(response)["code"] == "upload_too_large"
    connection.close()


def test_size_is_counted_as_it_arrives(client: httpx.Client) -> None:
    head = b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\n'
    megabyte = bytes(1_000_000)
    response = client.post(
        "/v1/classify",
        content=iter([head, *[megabyte] * 26]),
        headers={"Content-Type": "multipart/form-data; boundary=b"},
    )
    check_problem(response, 413, "upload_too_large")


@pytest.mark.parametrize("top_k", ["0", "-1", "many", "1.5", "1001"])
def test_invalid_top_k(client: httpx.Client, top_k: str) -> None:
    response = client.post("/v1/classify", params={"top_k": top_k}, files={"file": b"x"})
    check_problem(response, 422, "invalid_parameter")
    assert "top_k" in response.json()["detail"]


@pytest.mark.parametrize("name", ["nothing", "%2e%2e%2fetc", "a" * 5_000])
def test_unknown_model(client: httpx.Client, name: str) -> None:
    response = client.post(f"/v1/models/{name}/classify", files={"file": b"x"})
    assert response.status_code == 404
    assert response.json()["code"] in {"unknown_model", "not_found"}


def test_unknown_version(client: httpx.Client) -> None:
    url = "/v1/models/urbansound/versions/999/classify"
    check_problem(client.post(url, files={"file": b"x"}), 404, "unknown_version")


def test_unknown_path_and_method(client: httpx.Client) -> None:
    check_problem(client.get("/v2/nothing"), 404, "not_found")
    response = client.get("/v1/classify")
    check_problem(response, 405, "method_not_allowed")
    assert response.headers["allow"] == "POST"


def test_a_well_formed_request_id_is_echoed(client: httpx.Client) -> None:
    response = client.get("/nothing", headers={"X-Request-ID": "abc-123"})
    assert response.json()["request_id"] == "abc-123"


@pytest.mark.parametrize("request_id", ["two words", "x" * 200, "<script>"])
def test_another_request_id_is_replaced(client: httpx.Client, request_id: str) -> None:
    response = client.get("/livez", headers={"X-Request-ID": request_id})
    assert response.headers["x-request-id"] != request_id
