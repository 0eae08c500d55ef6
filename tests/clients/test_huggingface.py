"""huggingface_hub's InferenceClient, as it is, with Hark's address for a model."""

from collections.abc import Iterator

import pytest
from huggingface_hub import InferenceClient
from huggingface_hub.errors import HfHubHTTPError

from tests.conftest import SAMPLES
from tests.live_server import LiveServer

SIREN = SAMPLES / "siren.wav"


@pytest.fixture(params=["", "/models/urbansound"])
def hugging_face(server: LiveServer, request: pytest.FixtureRequest) -> Iterator[InferenceClient]:
    with InferenceClient(model=f"{server.url}{request.param}", timeout=60) as client:
        yield client


def check(scores: object, n: int) -> None:
    assert isinstance(scores, list)
    assert len(scores) == n
    assert scores[0].label == "siren"
    values = [each.score for each in scores]
    assert values == sorted(values, reverse=True)
    assert 0.5 < values[0] <= 1


def test_a_path_is_sent_with_a_guessed_type(hugging_face: InferenceClient) -> None:
    check(hugging_face.audio_classification(str(SIREN)), 5)
    check(hugging_face.audio_classification(SIREN.with_suffix(".mp3")), 5)


def test_bytes_are_sent_without_a_type(hugging_face: InferenceClient) -> None:
    check(hugging_face.audio_classification(SIREN.read_bytes()), 5)


@pytest.mark.parametrize("top_k", [1, 3, 10])
def test_top_k_is_sent_in_json(hugging_face: InferenceClient, top_k: int) -> None:
    check(hugging_face.audio_classification(SIREN.read_bytes(), top_k=top_k), top_k)
    check(hugging_face.audio_classification(str(SIREN), top_k=top_k), top_k)


def test_softmax_is_what_it_gets(hugging_face: InferenceClient) -> None:
    answer = hugging_face.audio_classification(SIREN.read_bytes(), function_to_apply="softmax")
    check(answer, 5)


def test_another_function_is_refused_in_words(hugging_face: InferenceClient) -> None:
    with pytest.raises(HfHubHTTPError) as refused:
        hugging_face.audio_classification(SIREN.read_bytes(), function_to_apply="sigmoid")
    assert refused.value.response.status_code == 422
    assert "function_to_apply" in refused.value.response.json()["error"]


def test_an_error_carries_error(hugging_face: InferenceClient) -> None:
    with pytest.raises(HfHubHTTPError) as refused:
        hugging_face.audio_classification(b"no sound")
    assert refused.value.response.status_code == 415
    assert "not audio" in refused.value.response.json()["error"]


def test_an_unknown_model_is_told(server: LiveServer) -> None:
    with (
        InferenceClient(model=f"{server.url}/models/nobody") as client,
        pytest.raises(HfHubHTTPError) as refused,
    ):
        client.audio_classification(SIREN.read_bytes())
    assert refused.value.response.status_code == 404
    assert "no model 'nobody'" in refused.value.response.json()["error"]
