"""Chromium, driven by Playwright: what the page's tests and its screenshots share."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pytest
from playwright.sync_api import Browser, sync_playwright

CHROMIUM: Final = shutil.which("chromium") or shutil.which("chromium-browser")
# Some of these keep the browser from asking other hosts.
ARGUMENTS: Final = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--autoplay-policy=no-user-gesture-required",
]
FAKE_MICROPHONE: Final = "--use-fake-device-for-media-stream"  # it beeps once a second


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run Debian's Chromium; Playwright's own is not downloaded. Without it, a test is skipped."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=[*ARGUMENTS, FAKE_MICROPHONE]
        )
        yield browser
        browser.close()
