"""The Open Inference Protocol, by Triton's own client, and by hand where that sends no nonsense."""

import base64
import json
import struct
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from tritonclient.http import (
    InferenceServerClient,
    InferInput,
    InferRequestedOutput,
    InferResult,
)
from tritonclient.utils import InferenceServerException

from tests.conftest import SAMPLES
from tests.live_server import LiveServer
from tests.sounds import encode, noisy_sweep, tone

INFER = "/v2/models/urbansound/infer"
SIREN = (SAMPLES / "siren.mp3").read_bytes()
DOG = (SAMPLES / "dog_bark.mp3").read_bytes()
OUTPUTS = ["probabilities", "labels", "label", "silence", "uncertain"]
JSON_BYTES = "Inference-Header-Content-Length"


@pytest.fixture
def triton(server: LiveServer) -> Iterator[InferenceServerClient]:
    with InferenceServerClient(f"127.0.0.1:{server.port}", network_timeout=60) as client:
        yield client


def tensor(name: str, values: NDArray[Any], *, binary: bool = True) -> InferInput:
    datatype = "BYTES" if values.dtype == np.object_ else "FP32"
    made = InferInput(name, list(values.shape), datatype)
    made.set_data_from_numpy(values, binary_data=binary)
    return made


def files(*contents: bytes, binary: bool = True) -> InferInput:
    return tensor("audio", np.array(contents, dtype=np.object_), binary=binary)


def classified(client: httpx.Client, *contents: bytes, **options: Any) -> list[dict[str, Any]]:
    """Return what /v1/classify answers."""
    answers = [client.post("/v1/classify", content=each, params=options) for each in contents]
    return [answer.raise_for_status().json() for answer in answers]


def texts(result: InferResult, name: str) -> list[str]:
    """Return an output of BYTES, which this client has as text where they came in JSON."""
    values = result.as_numpy(name).tolist()
    return [value if isinstance(value, str) else value.decode() for value in values]


def check(result: InferResult, expected: list[dict[str, Any]]) -> None:
    """Compare all outputs with the answers of /v1/classify."""
    probabilities = [list(each["probabilities"].values()) for each in expected]
    np.testing.assert_array_equal(
        result.as_numpy("probabilities"), np.array(probabilities, np.float32)
    )
    assert texts(result, "labels") == list(expected[0]["probabilities"])
    assert texts(result, "label") == [each["label"] for each in expected]
    for flag in ("silence", "uncertain"):
        assert result.as_numpy(flag).tolist() == [each[flag] for each in expected]


def test_health_and_metadata(triton: InferenceServerClient, client: httpx.Client) -> None:
    assert triton.is_server_live()
    assert triton.is_server_ready()
    assert triton.is_model_ready("urbansound")
    assert triton.is_model_ready("urbansound", "1")
    assert not triton.is_model_ready("nobody")
    assert not triton.is_model_ready("urbansound", "9")
    about = triton.get_server_metadata()
    assert about["name"] == "hark"
    assert about["version"] == client.get("/openapi.json").json()["info"]["version"]
    assert about["extensions"] == ["binary_tensor_data", "classification"]


def test_metadata_say_what_infer_takes_and_answers(
    triton: InferenceServerClient, client: httpx.Client
) -> None:
    metadata = triton.get_model_metadata("urbansound", "stable")
    assert metadata == triton.get_model_metadata("urbansound")
    assert metadata["labels"] == client.get("/v1/models/urbansound").json()["labels"]
    assert (metadata["versions"], metadata["platform"]) == (["1"], "tensorflow_keras")
    assert [(each["name"], each["shape"]) for each in metadata["inputs"]] == [
        ("audio", [-1]),
        ("samples", [-1, -1]),
    ]
    answer = triton.infer("urbansound", [files(SIREN, DOG)]).get_response()
    for said, came in zip(metadata["outputs"], answer["outputs"], strict=True):
        assert (said["name"], said["datatype"]) == (came["name"], came["datatype"])
        shape = [2 if length == -1 else length for length in said["shape"]]
        assert came["shape"] == shape


@pytest.mark.parametrize("binary_outputs", [True, False])
@pytest.mark.parametrize(
    "sent",
    [
        files(SIREN, DOG),
        files(base64.b64encode(SIREN), base64.b64encode(DOG)),
        files(base64.b64encode(SIREN), base64.b64encode(DOG), binary=False),
        tensor("audio", np.array([[SIREN], [DOG]], dtype=np.object_)),
    ],
    ids=["bytes", "base64 in bytes", "base64 in JSON", "a column"],
)
def test_files_get_the_answers_of_v1(
    triton: InferenceServerClient, client: httpx.Client, sent: InferInput, binary_outputs: bool
) -> None:
    wanted = [InferRequestedOutput(name, binary_data=binary_outputs) for name in OUTPUTS]
    result = triton.infer("urbansound", [sent], outputs=wanted)
    check(result, classified(client, SIREN, DOG))
    answer = result.get_response()
    assert (answer["model_name"], answer["model_version"]) == ("urbansound", "1")
    assert all(("data" in output) != binary_outputs for output in answer["outputs"])


@pytest.mark.parametrize("binary", [True, False])
def test_samples_get_the_answers_of_a_wav_of_floats(
    triton: InferenceServerClient, client: httpx.Client, binary: bool
) -> None:
    clips = np.stack([noisy_sweep(0.5, 16_000)[:, 0], tone(0.5, 16_000)[:, 0]]).astype(np.float32)
    wavs = [encode(clip.astype(np.float64), 16_000, "WAV", "FLOAT") for clip in clips]
    expected = classified(client, *wavs)
    sent = tensor("samples", clips, binary=binary)
    result = triton.infer("urbansound", [sent], parameters={"sample_rate": 16_000})
    check(result, expected)
    alone = tensor("samples", clips[0], binary=binary)
    alone._parameters["sample_rate"] = 16_000  # the client has no other way to say it of a tensor
    check(triton.infer("urbansound", [alone], "1"), expected[:1])


def test_options_have_the_names_that_they_have_elsewhere(
    triton: InferenceServerClient, client: httpx.Client
) -> None:
    options = {"labels": "siren,dog_bark", "start_seconds": 0.5, "end_seconds": 3, "hop_seconds": 1}
    result = triton.infer("urbansound", [files(SIREN)], parameters=options)
    expected = classified(client, SIREN, **options)
    assert list(expected[0]["probabilities"]) == ["dog_bark", "siren"]
    check(result, expected)


def test_only_the_outputs_that_are_asked_for_come_back(triton: InferenceServerClient) -> None:
    wanted = [InferRequestedOutput("label", binary_data=False), InferRequestedOutput("silence")]
    result = triton.infer("urbansound", [files(SIREN)], outputs=wanted, request_id="a 42")
    answer = result.get_response()
    assert answer["id"] == "a 42"
    assert [output["name"] for output in answer["outputs"]] == ["label", "silence"]
    assert answer["outputs"][0]["data"] == ["siren"]
    assert result.as_numpy("silence").tolist() == [False]
    assert "id" not in triton.infer("urbansound", [files(SIREN)]).get_response()


def test_the_documented_client_runs(
    server: LiveServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    document = (SAMPLES.parent / "docs" / "api.md").read_text()
    section = document[document.index("## Open Inference Protocol") :]
    code = section.partition("```python\n")[2].partition("```")[0]
    monkeypatch.chdir(SAMPLES.parent)
    exec(code.replace("127.0.0.1:8000", f"127.0.0.1:{server.port}"), names := dict[str, Any]())
    names["client"].close()
    assert capsys.readouterr().out == code.rpartition("# ")[2]


@pytest.mark.parametrize("k", [1, 3, 99])
def test_classifications_are_the_most_probable_labels(
    triton: InferenceServerClient, client: httpx.Client, k: int
) -> None:
    wanted = [InferRequestedOutput("probabilities", class_count=k)]
    result = triton.infer("urbansound", [files(SIREN, DOG)], outputs=wanted)
    rows = result.as_numpy("probabilities").tolist()
    expected = classified(client, SIREN, DOG, top_k=k)
    for row, answer in zip(rows, expected, strict=True):
        labels = list(answer["probabilities"])
        assert [each.decode() for each in row] == [
            f"{each['probability']:f}:{labels.index(each['label'])}:{each['label']}"
            for each in answer["top"]
        ]


def test_sixty_four_files_are_taken_and_one_more_is_refused(triton: InferenceServerClient) -> None:
    sound = encode(tone(0.2, 8_000), 8_000)
    result = triton.infer("urbansound", [files(*[sound] * 64)])
    assert result.as_numpy("label").shape == (64,)
    with pytest.raises(InferenceServerException, match="at most 64 clips"):
        triton.infer("urbansound", [files(*[sound] * 65)])


NAN = np.array([0.0, np.nan, 0.1], np.float32)
CLIP = np.zeros(800, np.float32)


@pytest.mark.parametrize(
    ("sent", "parameters", "status", "sentence"),
    [
        (files(SIREN, b"no sound"), {}, "415", r"audio\[1\]: The bytes are not audio"),
        (files(b"nosound"), {}, "415", r"audio\[0\]: The bytes are not audio"),
        (files(b"no sound!", binary=False), {}, "400", r"under 'inputs.0.data.0' is not base64"),
        (files(b""), {}, "422", r"audio\[0\]: The file is empty"),
        (tensor("samples", CLIP), {}, "422", "sample_rate: it is missing"),
        (tensor("samples", CLIP), {"sample_rate": 0}, "422", "parameters.sample_rate: Input"),
        (tensor("samples", CLIP), {"sample_rate": 1.5}, "422", "parameters.sample_rate: Input"),
        (tensor("samples", CLIP), {"sample_rate": 900_000}, "422", "900000 Hz"),
        (tensor("samples", NAN), {"sample_rate": 8_000}, "422", r"samples\[0\]: "),
        (tensor("voice", CLIP), {}, "422", "inputs.0: .*'voice'.* 'audio', 'samples'"),
        (tensor("audio", CLIP), {}, "422", "inputs.0.audio.datatype: .*'BYTES'"),
        (tensor("samples", CLIP.reshape(2, 2, 200)), {}, "422", "inputs.0.samples.shape: .*2"),
        (files(SIREN), {"labels": "tuba"}, "422", "labels: .*'tuba'"),
        (files(SIREN), {"start_seconds": 60}, "422", "start_seconds: "),
        (files(SIREN), {"top_k": 3}, "422", "parameters.top_k: .*There is: binary_data"),
        (files(SIREN), {"timeout": 9}, "422", "parameters.timeout: there is no such"),
    ],
)
def test_errors_come_to_the_client_as_sentences(
    triton: InferenceServerClient,
    sent: InferInput,
    parameters: dict[str, Any],
    status: str,
    sentence: str,
) -> None:
    timeout = parameters.get("timeout")  # which the client takes for itself
    others = {name: value for name, value in parameters.items() if name != "timeout"}
    with pytest.raises(InferenceServerException, match=sentence) as refused:
        triton.infer("urbansound", [sent], parameters=others, timeout=timeout)
    assert refused.value.status() == status


def test_unknown_models_versions_and_outputs_are_told(triton: InferenceServerClient) -> None:
    with pytest.raises(InferenceServerException, match="no model 'nobody'"):
        triton.infer("nobody", [files(SIREN)])
    with pytest.raises(InferenceServerException, match="no version 9"):
        triton.get_model_metadata("urbansound", "9")
    wanted = [InferRequestedOutput("embedding")]
    with pytest.raises(InferenceServerException, match=r"outputs.0: .*'embedding'.*'labels'"):
        triton.infer("urbansound", [files(SIREN)], outputs=wanted)


def input_of(**changes: Any) -> dict[str, Any]:
    """Return a request for three samples, with other fields in its tensor."""
    whole = {"name": "samples", "datatype": "FP32", "shape": [3], "data": [0, 0.5, -0.5]}
    fields = {**whole, "parameters": {"sample_rate": 8_000}, **changes}
    return {"inputs": [{name: each for name, each in fields.items() if each is not None}]}


FILE = base64.b64encode(encode(tone(0.2, 8_000), 8_000)).decode()


def file_of(**changes: Any) -> dict[str, Any]:
    """Return a request for a file, with other fields in its tensor."""
    return {
        "inputs": [{"name": "audio", "datatype": "BYTES", "shape": [1], "data": [FILE], **changes}]
    }


@pytest.mark.parametrize(
    "body",
    [
        input_of(),
        input_of(shape=[1, 3], data=[[0, 0.5, -0.5]]),
        input_of(shape=[3, 1], data=[[0], [0.5], [-0.5]]),
        input_of(shape=[3, 1]),
        file_of(shape=[1, 1], data=[[FILE]]),
        file_of(parameters={"content_type": "base64"}),  # as MLServer's clients say
        {**file_of(), "outputs": []},
    ],
)
def test_json_may_be_flat_or_nested(client: httpx.Client, body: dict[str, Any]) -> None:
    answer = client.post(INFER, json=body)
    assert answer.status_code == 200, answer.text
    assert [output["name"] for output in answer.json()["outputs"]] == OUTPUTS


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"", 400, "not valid JSON"),
        (b"[]", 400, "no object"),
        ({}, 422, "inputs: Field required"),
        ({"inputs": []}, 422, "inputs: "),
        ({"inputs": input_of()["inputs"] * 2}, 422, "inputs: "),
        ({**input_of(), "id": 7}, 422, "id: "),
        (input_of(shape=[4]), 422, "inputs.0.shape: [4] makes 4 elements, but the data hold 3"),
        (input_of(shape=[0]), 422, "inputs.0.samples.shape.0: "),
        (input_of(shape=[-1]), 422, "inputs.0.samples.shape.0: "),
        (input_of(shape=[65, 1]), 422, "inputs.0.shape: at most 64"),
        (input_of(shape=[1 << 70]), 422, "makes 1180591620717411303424 elements"),
        (input_of(data=None), 422, "inputs.0.data: the tensor has none"),
        (input_of(data={"a": 1}), 422, "inputs.0.data: it is no list"),
        (input_of(data=[0, "0.5", 0]), 422, "inputs.0.data: FP32 are numbers"),
        (input_of(data=[0, True, 0]), 422, "inputs.0.data: FP32 are numbers"),
        (input_of(data=[0, [1], 0]), 422, "inputs.0.data: FP32 are numbers"),
        (input_of(shape=[1, 3], data=[[0, 1, 2], 3]), 422, "hold 2"),
        (input_of(data=[0, 1e39, 0]), 422, "inputs.0.data: a number is larger"),
        (input_of(data=[0, 10**400, 0]), 422, "inputs.0.data: a number is larger"),
        (input_of(data=[0, 3e38, 0]), 422, "samples[0]: "),
        (file_of(shape=[2]), 422, "inputs.0.shape: [2] makes 2 elements, but the data hold 1"),
        (file_of(shape=[1, 2]), 422, "inputs.0.shape: 'audio' holds a file an element"),
        (file_of(data=[7]), 422, "inputs.0.data: BYTES are text"),
        (file_of(datatype="FP32"), 422, "inputs.0.audio.datatype: "),
        (
            {**file_of(), "outputs": [{"name": "label", "parameters": {"classification": 2}}]},
            422,
            "outputs.0.label.parameters.classification: there is no such parameter",
        ),
        (file_of(parameters={"binary_data_size": 9}), 422, "inputs.0.data: the tensor has a"),
        (
            file_of(data=None, parameters={"binary_data_size": 9}),
            422,
            "binary_data_size: it is 9, but 0 bytes come after",
        ),
        (file_of(data=None, parameters={"shared_memory_region": "x"}), 422, "shared memory"),
    ],
)  # fmt: skip
def test_a_request_that_is_wrong_is_told_why(
    client: httpx.Client, body: dict[str, Any] | bytes, status: int, words: str
) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    response = client.post(INFER, content=content)
    assert response.status_code == status
    assert words in response.json()["error"]
    code = "malformed_upload" if status == 400 else response.json()["code"]
    assert response.json()["code"] == code
    assert code in ("malformed_upload", "invalid_parameter", "invalid_samples")


def with_binary(content: dict[str, Any], binary: bytes, **headers: str) -> dict[str, Any]:
    encoded = json.dumps(content).encode()
    return {"content": encoded + binary, "headers": {JSON_BYTES: str(len(encoded)), **headers}}


def bytes_input(binary: bytes, n: int = 1) -> dict[str, Any]:
    content = file_of(shape=[n], parameters={"binary_data_size": len(binary)})
    del content["inputs"][0]["data"]
    return with_binary(content, binary)


@pytest.mark.parametrize(
    ("request_content", "status", "words"),
    [
        (bytes_input(b"\x01\x00"), 422, "end within the element 0"),
        (bytes_input(struct.pack("<I", 9) + b"12345678"), 422, "end within the element 0"),
        (bytes_input(struct.pack("<I", 1) + b"x" + b"\xff" * 4), 422, "end within the element 1"),
        (bytes_input(struct.pack("<I", 0) * 2), 422, "[1] makes 1 elements, but the data hold 2"),
        (bytes_input(struct.pack("<I", 0) * 1_000), 422, "but the data hold 65"),
        (bytes_input(b""), 422, "but the data hold 0"),
        (with_binary(input_of(), b"1234"), 422, "binary_data_size: it is 0, but 4 bytes"),
        (
            with_binary(
                input_of(data=None, parameters={"binary_data_size": 10, "sample_rate": 9}),
                b"1" * 10,
            ),
            422,
            "[3] makes 3 elements, but the data hold 2.5",
        ),
        (with_binary({}, b"", **{JSON_BYTES: "0"}), 400, "'0' is no number of bytes from 1"),
        (with_binary({}, b"", **{JSON_BYTES: "3"}), 400, "the body's length, which is 2"),
        (with_binary({}, b"", **{JSON_BYTES: "-1"}), 400, "'-1' is no number"),
        (with_binary({}, b"", **{JSON_BYTES: "9" * 5_000}), 400, "is no number"),
        (with_binary({}, b"", **{"Content-Encoding": "gzip"}), 415, "compressed"),
    ],
)  # fmt: skip
def test_binary_data_that_are_wrong_are_told_why(
    client: httpx.Client, request_content: dict[str, Any], status: int, words: str
) -> None:
    response = client.post(INFER, **request_content)
    assert (response.status_code, response.headers["content-type"]) == (
        status,
        "application/problem+json",
    )
    assert words in response.json()["error"]


def test_more_samples_than_json_is_good_for_are_refused(client: httpx.Client) -> None:
    body = json.dumps(input_of(shape=[600_000], data=[0] * 600_000)).encode()
    refused = client.post(INFER, content=body)
    assert (refused.status_code, refused.json()["code"]) == (400, "malformed_upload")
    assert "more than 500000 values" in refused.json()["error"]
    assert "as binary data" in refused.json()["error"]
    few = json.dumps(input_of(shape=[400_000], data=[0] * 400_000)).encode()
    assert client.post(INFER, content=few).status_code == 200


def test_what_becomes_larger_than_an_upload_is_refused(client: httpx.Client) -> None:
    n_samples = 24_999_600 // 4 // 64
    binary = bytes(n_samples * 4 * 64)
    parameters = {"binary_data_size": len(binary), "sample_rate": 384_000}
    content = input_of(shape=[64, n_samples], data=None, parameters=parameters)
    refused = client.post(INFER, **with_binary(content, binary))
    assert (refused.status_code, refused.json()["code"]) == (413, "upload_too_large")
    assert "'audio'" in refused.json()["error"]


def test_the_memory_of_requests_is_given_back(client: httpx.Client) -> None:
    for _ in range(90):  # more often than there are places
        assert client.post(INFER, json=input_of(data=[0, 3e38, 0])).status_code == 422
        assert client.post(INFER, json=input_of(shape=[9])).status_code == 422
    assert client.post(INFER, json=input_of()).status_code == 200
    assert "hark_requests_in_flight 0.0" in client.get("/metrics").text
