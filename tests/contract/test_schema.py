"""The OpenAPI document against the live service: Schemathesis asks all that it allows, and more.

Every check that Schemathesis has is on. Its command also loads this file, for the clips below.
"""

import base64
import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator, MutableMapping
from itertools import product
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import schemathesis
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from schemathesis import GenerationMode

from app.api_keys import hash_of, make_key
from tests.contract.interpreter import ROOT
from tests.live_server import LiveServer, live_server
from tests.sounds import encode, tone

METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
# For each of some fifty operations, and for each phase; `make test-slow` has more.
EXAMPLES: Final = int(os.environ.get("HARK_SCHEMA_EXAMPLES", "4"))

# An upload is to be audio, which no schema can say. With clips for what the document calls binary,
# a request that is valid has to be answered with 200.
CLIPS: Final = (  # short, since a batch is of up to 64
    encode(tone(0.2, 8_000), 8_000),
    encode(tone(0.2, 8_000, 2), 8_000, "WAV", "FLOAT"),
    encode(tone(0.2, 8_000), 8_000, "FLAC", "PCM_16"),
)
schemathesis.openapi.format("binary", st.sampled_from(CLIPS))
schemathesis.openapi.format(
    "base64-audio", st.sampled_from([base64.b64encode(clip).decode() for clip in CLIPS])
)
schemathesis.openapi.format("label", st.sampled_from(["siren", "car_horn", "dog_bark"]))

# A refusal for good as any, where the check knows of other statuses alone.
SETTINGS: Final = """
[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 405, 406, 409, 413, 415, 422, 428, 429, 431, "5xx"]
"""


@schemathesis.hook
def before_call(_context: object, case: schemathesis.Case[Any], _arguments: object) -> None:
    """Make valid together what is valid each for itself, which no schema can say either."""
    body: Any = case.body if isinstance(case.body, dict) else {}
    if case.path.endswith("/batch") and not isinstance(body.get("file", []), list):
        del body["file"]  # in a form it would be a file, whatever it is: one with a problem
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    for options in (case.query, body, body.get("parameters")):
        cut_within_the_clips(options or {})
        name_labels_of((case.path_parameters or {}).get("name"), options or {})
    for tensor in body["inputs"] if case.path.endswith("/infer") else ():
        describe(tensor)
    # Schemathesis takes a body that has been changed and holds bytes for one that is not valid.
    case.meta.generation.mode = GenerationMode.POSITIVE


def name_labels_of(model: str | None, options: MutableMapping[str, Any]) -> None:
    """Have the labels be the model's: of those that the document knows, esc10 has one."""
    if model == "esc10" and options.get("labels"):
        options["labels"] = ["dog_bark"] if isinstance(options["labels"], list) else "dog_bark"


def cut_within_the_clips(options: MutableMapping[str, Any]) -> None:
    """Have a part begin and end within the shortest clip, and hop no further than a window."""
    given = {name for name, value in options.items() if value is not None}
    for name, choose, bound in (
        ("start_seconds", min, 0.05),
        ("end_seconds", max, 0.1),
        ("hop_seconds", min, 2.9),  # esc10's window is the shortest
    ):
        if name in given:
            options[name] = choose(float(options[name]), bound)


def describe(tensor: dict[str, Any]) -> None:
    """Have a tensor say of itself what it is; its samples last as long as the shortest clip."""
    if tensor["name"] == "samples":
        tensor["data"] = tensor["data"] * math.ceil(1_600 / len(tensor["data"]))
        tensor["parameters"] = {"sample_rate": 8_000}
    tensor["shape"] = [len(tensor["data"])]


@pytest.fixture(scope="module")
def open_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A service that knows no API keys."""
    log = tmp_path_factory.mktemp("open") / "log"
    with live_server(log, HARK_ENGINE="onnx", HARK_WORKERS="2") as running:
        yield running


@pytest.fixture(scope="module")
def key() -> str:
    return make_key()


@pytest.fixture(scope="module")
def guarded_server(tmp_path_factory: pytest.TempPathFactory, key: str) -> Iterator[LiveServer]:
    """A service that asks for API keys, and knows `key`."""
    folder = tmp_path_factory.mktemp("guarded")
    keys = folder / "keys.toml"
    keys.write_text(
        f'[[keys]]\nname = "all"\nsha256 = "{hash_of(key)}"\nscopes = ["classify", "admin"]\n'
    )
    with live_server(
        folder / "log", HARK_ENGINE="onnx", HARK_WORKERS="2", HARK_API_KEYS_FILE=str(keys)
    ) as running:
        yield running


def check_service(url: str, folder: Path, *options: str) -> None:
    """Have Schemathesis check a service; `folder` is for what it writes."""
    report_file = folder / "report.json"
    (folder / "schemathesis.toml").write_text(SETTINGS)
    command: list[str | Path] = [
        Path(sys.executable).with_name("schemathesis"), "run", f"{url}/openapi.json",
        "--checks", "all", "--continue-on-failure", "--no-color",
        "--max-examples", str(EXAMPLES),
        "--generation-deterministic",
        "--report", "json", "--report-json-path", report_file,
        *options,
    ]  # fmt: skip
    hooks = {"PYTHONPATH": str(ROOT), "SCHEMATHESIS_HOOKS": "tests.contract.test_schema"}
    finished = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **hooks},
        capture_output=True,
        text=True,
        check=False,
        timeout=280 + 20 * EXAMPLES,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    report = json.loads(report_file.read_text())
    # None of the ways in which it may pass a thing over in silence.
    assert report["operations"]["tested"] == report["operations"]["total"]
    for phase in ("coverage", "fuzzing", "stateful"):
        assert report["phases"][phase]["status"] == "success"
    assert report["errors"] == []


def operations_of(url: str) -> dict[tuple[str, str], dict[str, Any]]:
    """Return what the document says of each method and path."""
    paths: dict[str, dict[str, dict[str, Any]]] = httpx.get(f"{url}/openapi.json").json()["paths"]
    return {
        (method.upper(), path): operation
        for path, item in paths.items()
        for method, operation in item.items()
    }


def answered_with_200(url: str) -> set[tuple[str, str]]:
    """Return the methods and paths that a service has answered as they are meant to be."""
    families = text_string_to_metric_families(httpx.get(f"{url}/metrics").text)
    return {
        (sample.labels["method"], sample.labels["route"])
        for family in families
        for sample in family.samples
        if sample.name == "hark_http_requests_total" and sample.labels["status"] == "200"
    }


@pytest.mark.slow  # the other one has all of its operations, and keys
def test_a_service_without_keys_is_what_its_document_says(
    open_server: LiveServer, tmp_path: Path
) -> None:
    check_service(open_server.url, tmp_path)
    forbidden = {("POST", "/v1/models/{name}/reload")}
    expected = operations_of(open_server.url).keys() - forbidden
    assert expected - answered_with_200(open_server.url) == set()


def test_a_service_with_keys_is_what_its_document_says(
    guarded_server: LiveServer, key: str, tmp_path: Path
) -> None:
    check_service(guarded_server.url, tmp_path, "--header", f"Authorization: Bearer {key}")
    expected = operations_of(guarded_server.url).keys()
    assert expected - answered_with_200(guarded_server.url) == set()


def test_every_operation_says_that_headers_may_be_too_large(open_server: LiveServer) -> None:
    """What the connection refuses never reaches a route, and Schemathesis sends no such header."""
    undocumented = set()
    for (method, path), operation in operations_of(open_server.url).items():
        url = open_server.url + path.format(name="urbansound", version="1")
        answer = httpx.request(method, url, headers={"X-Large": "x" * 20_000})
        assert answer.status_code == 431
        if "431" not in operation["responses"]:
            undocumented.add((method, path))
    assert undocumented == set()


def test_the_allow_header_names_all_that_is_allowed(open_server: LiveServer) -> None:
    """Schemathesis does not know of the HEAD that the document leaves out."""
    paths = {path for _, path in operations_of(open_server.url)}
    allowed = dict[str, set[str]]()
    stated = dict[str, set[str]]()
    for path, method in product(paths, METHODS):
        url = open_server.url + path.format(name="urbansound", version="1")
        answer = httpx.request(method, url)
        if answer.status_code == 405:
            stated.setdefault(path, set()).update(answer.headers["Allow"].split(", "))
        else:
            allowed.setdefault(path, set()).add(method)
    assert stated == allowed
