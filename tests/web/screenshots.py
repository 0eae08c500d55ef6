"""Takes the README's pictures of the page: a real answer of a real server, in real Chromium.

python -m tests.web.screenshots
"""

import io
import tempfile
from itertools import product
from pathlib import Path
from typing import Final

from PIL import Image
from playwright.sync_api import Browser, expect

from tests.live_server import live_server
from tests.web.browser import chromium
from tests.web.hark_page import ANSWER_MS, HarkPage

FOLDER: Final = Path(__file__).parents[2] / "docs" / "images"
MAX_BYTES: Final = 250_000
# Width and height in CSS pixels, and how many of the screen's there are to one of these.
SCREENS: Final = ((1440, 1290, 1), (360, 1560, 2))


def main() -> None:
    """Take four pictures: two screens, light and dark."""
    FOLDER.mkdir(exist_ok=True)
    log = Path(tempfile.mkdtemp()) / "log"
    with live_server(log, HARK_ENGINE="onnx") as server, chromium() as browser:
        for (width, height, density), theme in product(SCREENS, ("light", "dark")):
            picture = _optimised(_answer(browser, server.url, width, height, density, theme))
            assert len(picture) < MAX_BYTES, f"{len(picture)} bytes are too many for a README"
            (FOLDER / f"page-{width}-{theme}.png").write_bytes(picture)


def _answer(browser: Browser, url: str, width: int, height: int, density: int, theme: str) -> bytes:
    """Return a PNG of the answer for the medley, while one listens to the dog."""
    context = browser.new_context(
        viewport={"width": width, "height": height},
        device_scale_factor=density,
        color_scheme="dark" if theme == "dark" else "light",
        reduced_motion="reduce",
    )
    hark = HarkPage(context.new_page())
    hark.page.goto(url)
    hark.button("Medley").click()
    hark.expect_answer("Several sounds")
    hark.expect_pictures()
    hark.slider.press("Home")
    for _ in range(13):
        hark.slider.press("ArrowRight")
    hark.slider.blur()
    hark.page.evaluate("() => { scrollTo(0, 0); document.activeElement.blur(); }")
    hark.page.mouse.move(0, 0)
    expect(hark.page.locator("#now")).to_contain_text("Dog bark", timeout=ANSWER_MS)
    picture = hark.page.screenshot()
    context.close()
    return picture


def _optimised(png: bytes) -> bytes:
    """Return a PNG of 256 colours, the rare ones among them."""
    smaller = io.BytesIO()
    image = Image.open(io.BytesIO(png)).convert("RGB")
    colours = image.quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=2, dither=Image.Dither.NONE)
    colours.save(smaller, "PNG", optimize=True)
    return smaller.getvalue()


if __name__ == "__main__":
    main()
