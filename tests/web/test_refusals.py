"""The page where the service does not answer at once: it wants a key, is busy, is gone."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from playwright.sync_api import expect

from app.api_keys import hash_of, make_key
from tests.live_server import LiveServer, live_server
from tests.two_versions import eventually
from tests.web.clips import sample
from tests.web.conftest import OpenPage
from tests.web.hark_page import ANSWER_MS, HarkPage


@pytest.fixture(scope="module")
def key() -> str:
    return make_key()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, key: str) -> Iterator[LiveServer]:
    """A service that asks for a key, and takes one request at a time."""
    folder = tmp_path_factory.mktemp("guarded")
    keys = folder / "keys.toml"
    keys.write_text(
        f'[[keys]]\nname = "reader"\nsha256 = "{hash_of(key)}"\nscopes = ["classify"]\n'
    )
    settings = {
        "HARK_ENGINE": "onnx",
        "HARK_WORKERS": "1",
        "HARK_QUEUE_SIZE": "0",
        "HARK_API_KEYS_FILE": str(keys),
        "HARK_DRAIN_SECONDS": "0",
    }
    with live_server(folder / "log", **settings) as running:
        yield running


@pytest.fixture(scope="module")
def hark(open_page: OpenPage, guarded: LiveServer) -> HarkPage:
    return open_page(url=guarded.url, ready=False)


def test_a_key_is_asked_for_and_kept_in_the_tab(hark: HarkPage, key: str) -> None:
    expect(hark.problem).to_contain_text("A key is needed")
    field = hark.page.get_by_role("textbox", name="API key", exact=True)
    expect(field).to_be_focused()
    field.fill("wrong")
    field.press("Enter")
    expect(hark.problem).to_contain_text("not known here")
    field.fill(key)
    hark.button("Use this key").click()
    expect(hark.model).to_be_enabled()
    expect(hark.problem).to_be_hidden()
    hark.choose(sample("siren.mp3"))
    hark.expect_answer("Siren")
    assert "Bearer $HARK_API_KEY" in hark.page.locator("#curl").inner_text()
    assert key not in hark.page.content()
    assert key not in hark.page.evaluate("JSON.stringify(localStorage)")
    hark.page.reload()
    expect(hark.model).to_be_enabled()


def test_it_waits_for_a_service_that_is_busy(hark: HarkPage, guarded: LiveServer, key: str) -> None:
    """The one compute process is held up while it has a request, and no other may wait."""
    (worker,) = guarded.worker_process_ids()
    waiting = hark.page.locator("#working-text", has_text="Trying again by itself in a second")
    os.kill(worker, signal.SIGSTOP)
    try:
        with ThreadPoolExecutor() as threads:
            first = threads.submit(classify, guarded, key)
            assert eventually(lambda: "hark_requests_in_flight 1.0" in metrics_of(guarded))
            hark.choose(sample("siren.wav"))
            expect(waiting).to_be_visible(timeout=ANSWER_MS)
            os.kill(worker, signal.SIGCONT)
            assert first.result().status_code == 200
    finally:
        os.kill(worker, signal.SIGCONT)
    hark.expect_answer("Siren")
    expect(waiting).to_be_hidden()


def classify(server: LiveServer, key: str) -> httpx.Response:
    return httpx.post(
        f"{server.url}/v1/classify",
        files={"file": sample("siren.mp3")["buffer"]},
        headers={"X-API-Key": key},
        timeout=60,
    )


def metrics_of(server: LiveServer) -> str:
    return httpx.get(f"{server.url}/metrics").text


def test_it_says_that_the_service_is_gone(hark: HarkPage, guarded: LiveServer) -> None:
    guarded.stop()
    hark.choose(sample("siren.mp3"))
    expect(hark.problem).to_contain_text("Hark cannot be reached", timeout=ANSWER_MS)
    expect(hark.button("Try again")).to_be_visible()
