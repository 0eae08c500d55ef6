"""GET /v1/models and GET /v1/models/{name}."""

import httpx

from tests.conftest import SAMPLES


def test_the_list_names_the_default_model(client: httpx.Client) -> None:
    models = client.get("/v1/models").json()["models"]
    default = [model for model in models if model["default"]]
    assert [model["name"] for model in default] == ["urbansound"]
    assert default[0]["version"] == max(default[0]["versions"])
    assert {model["name"] for model in models} >= {"urbansound", "esc10"}


def test_every_shipped_model_classifies(client: httpx.Client) -> None:
    for model in client.get("/v1/models").json()["models"]:
        bark = (SAMPLES / "dog_bark.wav").read_bytes()
        answer = client.post(f"/v1/models/{model['name']}/classify", files={"file": bark}).json()
        assert answer["model"]["name"] == model["name"]
        assert len(answer["probabilities"]) == 10


def test_a_model_says_what_it_is(client: httpx.Client) -> None:
    model = client.get("/v1/models/urbansound").json()
    assert len(model["labels"]) == 10
    assert model["front_end"]["sample_rate_hz"] == 22_050
    assert model["training"]["licence"] == "CC BY-NC 3.0"
    assert 0 < model["metrics"]["accuracy_mean"] < 1


def test_an_unknown_model(client: httpx.Client) -> None:
    response = client.get("/v1/models/nothing")
    assert response.status_code == 404
    assert "urbansound" in response.json()["detail"]
