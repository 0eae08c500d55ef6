"""The ways to send a file: a form, the body itself, base64 in JSON. The bytes decide."""

import base64
import json
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from app.api.options import ClassifyOptions
from tests.conftest import SAMPLES
from tests.live_server import LiveServer

SIREN = SAMPLES / "siren.mp3"


@pytest.fixture(scope="module")
def expected(server: LiveServer) -> dict[str, Any]:
    """What a form gets."""
    files = {"file": SIREN.read_bytes()}
    answer: dict[str, Any] = httpx.post(f"{server.url}/v1/classify", files=files).json()
    assert answer["label"] == "siren"
    return answer


def curl(url: str, *arguments: str) -> dict[str, Any]:
    finished = subprocess.run(
        ["curl", "--silent", "--show-error", *arguments, url], capture_output=True, check=True
    )
    answer: dict[str, Any] = json.loads(finished.stdout)
    return answer


@pytest.mark.parametrize(
    "arguments",
    [
        ("-F", f"file=@{SIREN}"),
        ("--data-binary", f"@{SIREN}"),  # curl says that it is a form of another kind
        ("--data-binary", f"@{SIREN}", "-H", "Content-Type: audio/mpeg"),
        ("--data-binary", f"@{SIREN}", "-H", "Content-Type:"),
        ("--data-binary", f"@{SIREN}", "-H", "Content-Type: application/json"),
        ("--data-binary", f"@{SIREN}", "-H", "Transfer-Encoding: chunked"),
        ("-T", str(SIREN), "-X", "POST"),
    ],
    ids=" ".join,
)
def test_curl_sends_a_file_in_any_way(
    server: LiveServer, expected: dict[str, Any], arguments: tuple[str, ...]
) -> None:
    assert curl(f"{server.url}/v1/classify", *arguments) == expected


def test_httpx_streams_a_body_of_unknown_length(
    client: httpx.Client, expected: dict[str, Any]
) -> None:
    def pieces() -> Iterator[bytes]:
        data = SIREN.read_bytes()
        yield from (data[start : start + 1_001] for start in range(0, len(data), 1_001))

    assert client.post("/v1/classify", content=pieces()).json() == expected


ENCODINGS: dict[str, Callable[[bytes], bytes]] = {
    "standard": base64.b64encode,
    "for URLs": base64.urlsafe_b64encode,
    "without padding": lambda data: base64.b64encode(data).rstrip(b"="),
    "in lines": base64.encodebytes,
    "a data URL": lambda data: b"data:audio/mpeg;base64," + base64.b64encode(data),
}


@pytest.mark.parametrize("name", ENCODINGS)
@pytest.mark.parametrize("content_type", ["application/json", ""])
def test_json_carries_a_file_as_base64(
    client: httpx.Client, expected: dict[str, Any], name: str, content_type: str
) -> None:
    body = json.dumps({"inputs": ENCODINGS[name](SIREN.read_bytes()).decode()}, indent=1)
    headers = {"Content-Type": content_type} if content_type else {}
    response = client.post("/v1/classify", content=body.encode(), headers=headers)
    assert response.json() == expected


def test_an_option_has_one_name_however_it_is_sent(client: httpx.Client) -> None:
    data = SIREN.read_bytes()
    in_query = client.post(
        "/v1/classify?top_k=2&labels=siren&labels=dog_bark&windows=true&hop_seconds=1", content=data
    )
    in_form = client.post(
        "/v1/classify",
        data={"top_k": "2", "labels": ["siren", "dog_bark"], "windows": "true", "hop_seconds": "1"},
        files={"file": data},
    )
    parameters = {"top_k": 2, "labels": ["siren", "dog_bark"], "windows": True, "hop_seconds": 1}
    encoded = base64.b64encode(data).decode()
    in_json = client.post("/v1/classify", json={"inputs": encoded, "parameters": parameters})
    assert in_query.status_code == 200
    assert set(in_query.json()["probabilities"]) == {"siren", "dog_bark"}
    assert in_query.json() == in_form.json() == in_json.json()


def test_what_a_body_says_goes_before_the_query(client: httpx.Client) -> None:
    files = {"file": SIREN.read_bytes()}
    answer = client.post("/v1/classify?top_k=5&windows=true", data={"top_k": "1"}, files=files)
    assert len(answer.json()["top"]) == 1
    assert len(answer.json()["windows"]) == 1


def test_null_stands_for_what_is_not_given(client: httpx.Client) -> None:
    sound = base64.b64encode((SAMPLES / "siren.mp3").read_bytes()).decode()
    fields = ClassifyOptions.model_fields.items()
    nothing = {name: None for name, field in fields if field.default is None}
    answers = [
        client.post("/v1/classify", json={"inputs": sound, "parameters": parameters})
        for parameters in ({}, nothing)
    ]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()


@pytest.mark.parametrize(
    ("body", "status", "code", "words"),
    [
        (b"", 422, "missing_file", "carries no file"),
        (b'{"inputs": ', 400, "malformed_upload", "not valid JSON"),
        (b"[1, 2]", 400, "malformed_upload", "no object"),
        (b'{"input": "x"}', 422, "missing_file", "'inputs'"),
        (b'{"inputs": 7}', 422, "missing_file", "'inputs'"),
        (b'{"inputs": "!!!!"}', 400, "malformed_upload", "not base64"),
        ('{"inputs": "ä"}'.encode(), 400, "malformed_upload", "not base64"),
        (b'{"inputs": "UklGRg==", "parameters": 3}', 400, "malformed_upload", "'parameters'"),
        (b'{"inputs": "", "parameters": {}}', 422, "empty_audio", "empty"),
        (b'{"inputs": "bm8gc291bmQ="}', 415, "not_audio", "known format"),
        (b'{"inputs": "UA==", "parameters": {"topk": 3}}', 422, "invalid_parameter", "topk: "),
        (b'{"inputs": "UA==", "parameters": {"top_k": 0}}', 422, "invalid_parameter", "top_k: "),
        (b'{"inputs": [' + b"{}," * 10_000 + b"{}]}", 400, "malformed_upload", "10000 values"),
        (b'{"a":' * 3_000 + b"1" + b"}" * 3_000, 400, "malformed_upload", "not valid JSON"),
    ],
)
def test_a_json_body_that_is_wrong_is_told_why(
    client: httpx.Client, body: bytes, status: int, code: str, words: str
) -> None:
    headers = {"Content-Type": "application/json"}
    response = client.post("/v1/classify", content=body, headers=headers)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert words in response.json()["detail"]


def test_an_endless_option_is_refused(client: httpx.Client) -> None:
    response = client.post(
        "/v1/classify", data={"labels": "siren," * 20_000}, files={"file": SIREN.read_bytes()}
    )
    assert (response.status_code, response.json()["code"]) == (422, "invalid_parameter")
    assert response.json()["detail"].startswith("labels: ")
