"""A browser's fetch: what MediaRecorder made of a microphone, posted as it is."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page

from tests.live_server import LiveServer
from tests.web.browser import chromium

# Chromium's own stand-in for a microphone beeps once a second.
RECORD_AND_POST = """async ([seconds, options]) => {
    const stream = await navigator.mediaDevices.getUserMedia({audio: true});
    const recorder = new MediaRecorder(stream);
    const pieces = [];
    recorder.ondataavailable = ({data}) => pieces.push(data);
    const stopped = new Promise((resolve) => { recorder.onstop = resolve; });
    recorder.start();
    setTimeout(() => recorder.stop(), 1000 * seconds);
    await stopped;
    const blob = new Blob(pieces, {type: recorder.mimeType});
    let body = blob;
    if (options.form) {
        body = new FormData();
        body.append("file", blob);
    }
    const response = await fetch(`/v1/classify?windows=true`, {method: "POST", body});
    return {type: blob.type, status: response.status, answer: await response.json()};
}"""


@pytest.fixture(scope="module")
def page(server: LiveServer) -> Iterator[Page]:
    with chromium() as browser:
        context = browser.new_context(permissions=["microphone"])
        opened = context.new_page()
        opened.goto(server.url)
        yield opened
        context.close()


@pytest.mark.parametrize("form", [False, True])
def test_a_recorded_blob_is_posted_by_fetch(page: Page, form: bool) -> None:
    result = page.evaluate(RECORD_AND_POST, [1.5, {"form": form}])
    assert result["type"].startswith("audio/webm")
    assert result["status"] == 200, result
    answer = result["answer"]
    assert answer["duration_seconds"] == pytest.approx(1.5, abs=0.5)
    assert answer["silence"] is False
    assert len(answer["windows"]) == 1
