"""One browser and one server for all tests of the page, which end before other tests begin."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.live_server import LiveServer, live_server
from tests.tiny_model import edit_manifest, read_manifest_json
from tests.two_versions import TwoVersions
from tests.web.browser import chromium
from tests.web.hark_page import ANSWER_MS, HarkPage

OpenPage = Callable[..., HarkPage]


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


def never_sure(version: Path) -> None:
    """Have a version call each of its answers uncertain."""
    calibration = read_manifest_json(version)["calibration"]
    edit_manifest(version, calibration={**calibration, "uncertain_below": 1.0})


def fine_tuned(version: Path) -> None:
    """Have a version's weights begin as another's."""
    training = read_manifest_json(version)["training"]
    earlier = [{"model": "birds@2", "dataset": "Dawn", "licence": "CC0", "folds": []}]
    edit_manifest(version, training={**training, "earlier": earlier})


@pytest.fixture(scope="package")
def web_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server with the shipped model, a version 2 that answers differently, and a modest one.

    The model that serves by default says that it began as another one.
    """
    store = TwoVersions(tmp_path_factory.mktemp("store"))
    store.add(2)
    store.add(3, damage=never_sure)
    store.write_aliases({"stable": 1})
    fine_tuned(store.root / "urbansound" / "1")
    log = tmp_path_factory.mktemp("web") / "log"
    settings = {"HARK_ENGINE": "onnx", "HARK_WORKERS": "2", "HARK_MODEL_STORE": str(store.root)}
    with live_server(log, **settings) as running:
        yield running


@pytest.fixture(scope="package")
def open_page(browser: Browser, web_server: LiveServer) -> OpenPage:
    """Opens the page in a browser that knows nothing of earlier ones, as wide and dark as asked."""

    def open_page(
        *,
        url: str = web_server.url,
        width: int = 1440,
        dark: bool = False,
        ready: bool = True,
        permissions: Sequence[str] = ("microphone",),
    ) -> HarkPage:
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
            permissions=permissions,
        )
        opened = HarkPage(context.new_page())
        opened.page.goto(url)
        if ready:
            expect(opened.model).to_be_enabled(timeout=ANSWER_MS)
        return opened

    return open_page


@pytest.fixture
def hark(open_page: OpenPage) -> Iterator[HarkPage]:
    """The page; in the end, the browser must have had nothing to complain of."""
    opened = open_page()
    yield opened
    assert opened.complaints == []
    assert opened.hosts == {opened.page.url.split("/")[2]}
    opened.page.context.close()
