"""What browsers are told: who may ask from another page, and what an answer may do in them."""

import asyncio
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.main import create_app
from app.settings import Settings
from tests.api.test_problems import check_problem
from tests.live_server import LiveServer, live_server
from tests.two_versions import SIREN
from tests.web.browser import CHROMIUM

FRIEND, OTHER_FRIEND = "https://app.example", "http://localhost:3000"
QUICK = {"HARK_ENGINE": "onnx", "HARK_WORKERS": "1", "HARK_DRAIN_SECONDS": "0"}
PREFLIGHT = {"Access-Control-Request-Method": "POST"}


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server as it is by default."""
    with live_server(tmp_path_factory.mktemp("closed") / "log", **QUICK) as server:
        yield server


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server that pages of two origins may ask."""
    log = tmp_path_factory.mktemp("shared") / "log"
    with live_server(log, **QUICK, HARK_CORS_ORIGINS=f"{FRIEND}, {OTHER_FRIEND}") as server:
        yield server


def cors_headers(response: httpx.Response) -> set[str]:
    return {name for name in response.headers if name.startswith("access-control-")}


# Pages of other origins


def test_by_default_no_other_page_may_read_an_answer(closed: LiveServer) -> None:
    url = f"{closed.url}/v1/classify"
    response = httpx.post(url, files={"file": SIREN}, headers={"Origin": FRIEND})
    assert response.status_code == 200
    assert cors_headers(response) == set()
    preflight = httpx.options(url, headers={"Origin": FRIEND, **PREFLIGHT})
    check_problem(preflight, 405, "method_not_allowed")
    assert cors_headers(preflight) == set()


@pytest.mark.parametrize("origin", [FRIEND, OTHER_FRIEND])
def test_pages_of_a_named_origin_may_ask(shared: LiveServer, origin: str) -> None:
    url = f"{shared.url}/v1/classify"
    preflight = httpx.options(
        url,
        headers={
            "Origin": origin,
            **PREFLIGHT,
            "Access-Control-Request-Headers": "authorization, x-api-key, x-request-id, traceparent",
        },
    )
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == origin
    assert "POST" in preflight.headers["access-control-allow-methods"]
    assert "access-control-allow-credentials" not in preflight.headers
    assert "Origin" in preflight.headers["vary"]

    response = httpx.post(url, files={"file": SIREN}, headers={"Origin": origin})
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == origin
    exposed = response.headers["access-control-expose-headers"]
    assert {"X-Request-ID", "Retry-After"} <= set(re.split(r",\s*", exposed))
    assert response.headers["cross-origin-resource-policy"] == "cross-origin"


def test_a_page_reads_a_problem_too(shared: LiveServer) -> None:
    response = httpx.post(
        f"{shared.url}/v1/classify", files={"file": b"no sound"}, headers={"Origin": FRIEND}
    )
    check_problem(response, 415, "not_audio")
    assert response.headers["access-control-allow-origin"] == FRIEND


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "https://app.example.evil.example", "", "*"]
)
def test_pages_of_another_origin_may_not(shared: LiveServer, origin: str) -> None:
    url = f"{shared.url}/v1/classify"
    preflight = httpx.options(url, headers={"Origin": origin, **PREFLIGHT})
    assert preflight.status_code != 200
    assert "access-control-allow-origin" not in preflight.headers
    response = httpx.get(f"{shared.url}/v1/models", headers={"Origin": origin})
    assert "access-control-allow-origin" not in response.headers


@pytest.mark.parametrize("method", ["DELETE", "PUT", "PATCH"])
def test_a_named_origin_may_not_use_other_methods(shared: LiveServer, method: str) -> None:
    response = httpx.options(
        f"{shared.url}/v1/classify",
        headers={"Origin": FRIEND, "Access-Control-Request-Method": method},
    )
    assert response.status_code == 400


# What every answer carries

EVERYWHERE = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cross-origin-resource-policy": "same-origin",
}
DATA_POLICY = "default-src 'none'; frame-ancestors 'none'"


@pytest.mark.parametrize(
    "path",
    ["/v1/models", "/livez", "/metrics", "/openapi.json", "/nothing", "/v1/models/nothing"],
)
def test_data_may_do_nothing_in_a_browser(closed: LiveServer, path: str) -> None:
    headers = httpx.get(closed.url + path).headers
    assert EVERYWHERE.items() <= dict(headers).items()
    assert headers["content-security-policy"] == DATA_POLICY


def test_answers_and_problems_of_classifications_carry_them_too(closed: LiveServer) -> None:
    for data, status in ((SIREN, 200), (b"no sound", 415)):
        response = httpx.post(f"{closed.url}/v1/classify", files={"file": data})
        assert response.status_code == status
        assert EVERYWHERE.items() <= dict(response.headers).items()
        assert response.headers["content-security-policy"] == DATA_POLICY


def test_a_defect_carries_them_too() -> None:
    app = create_app(Settings(workers=1))

    @app.get("/defect")
    def fail() -> None:
        raise ZeroDivisionError

    # In this process, since the running server has no route that fails.
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)

    async def get() -> httpx.Response:
        async with httpx.AsyncClient(transport=transport, base_url="http://hark") as client:
            return await client.get("/defect")

    response = asyncio.run(get())
    assert response.status_code == 500
    assert EVERYWHERE.items() <= dict(response.headers).items()


def test_each_header_is_sent_once(closed: LiveServer) -> None:
    for path in ("/v1/models", "/docs", "/nothing", "/", "/static/main.js"):
        names = [name for name, _ in httpx.get(closed.url + path).headers.multi_items()]
        assert len(names) == len(set(names))


def test_no_answer_names_the_software(closed: LiveServer) -> None:
    assert "server" not in httpx.get(f"{closed.url}/livez").headers


def test_the_page_may_load_what_comes_from_here_and_nothing_else(closed: LiveServer) -> None:
    response = httpx.get(f"{closed.url}/docs")
    assert EVERYWHERE.items() <= dict(response.headers).items()
    directives = dict(
        directive.strip().split(" ", 1)
        for directive in response.headers["content-security-policy"].split(";")
    )
    assert directives["default-src"] == "'self'"
    assert directives["object-src"] == directives["frame-ancestors"] == "'none'"
    assert "http" not in response.headers["content-security-policy"]
    assert "unsafe-eval" not in response.headers["content-security-policy"]


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")
def test_the_page_works_in_a_browser_under_its_policy(closed: LiveServer, tmp_path: Path) -> None:
    assert CHROMIUM is not None
    finished = subprocess.run(
        [
            CHROMIUM,
            *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
            f"--user-data-dir={tmp_path}",
            *("--enable-logging=stderr", "--virtual-time-budget=10000", "--dump-dom"),
            f"{closed.url}/docs",
        ],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    # What Swagger's script made of the document, which the page does not hold.
    assert "/v1/models/{name}/versions/{version}/classify" in re.sub(
        r"<wbr>|\N{ZERO WIDTH SPACE}", "", finished.stdout
    )
    console = [line for line in finished.stderr.splitlines() if "CONSOLE" in line]
    assert console == []
