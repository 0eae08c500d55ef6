"""A longer clip on the page: what is heard when, played in step.

`medley.mp3` is a siren, a dog, a jackhammer, silence and a car's horn, four seconds each.
"""

import re
from collections.abc import Iterator

import numpy as np
import pytest
import soundfile
from playwright.sync_api import expect

from tests.conftest import SAMPLES
from tests.web.clips import wav
from tests.web.conftest import OpenPage
from tests.web.hark_page import OPACITIES, HarkPage

SECONDS = 20


@pytest.fixture(scope="module")
def answered(open_page: OpenPage) -> HarkPage:
    """The page with the answer for the medley."""
    hark = open_page()
    hark.button("Medley").click()
    hark.expect_answer("Several sounds")
    return hark


@pytest.fixture
def medley(answered: HarkPage) -> Iterator[HarkPage]:
    """The same, at its beginning and not playing."""
    if answered.button("Pause").is_visible():
        answered.button("Pause").click()
    answered.slider.press("Home")
    yield answered
    assert answered.complaints == []


def test_a_longer_clip_is_shown_in_time(medley: HarkPage) -> None:
    expect(medley.page.locator("#sure")).to_contain_text("The timeline shows which is heard when.")
    lanes = medley.page.locator(".heat .lane-name").all_inner_texts()
    in_order = [name for name in lanes if name not in ("Drilling", "Jackhammer")]
    assert in_order == ["Siren", "Dog bark", "Silence", "Car horn"]
    events = medley.page.locator("#events button")
    expect(events.first).to_contain_text("Siren")
    expect(events.first).to_contain_text("0:00.0 to 0:04.0")
    expect(events.last).to_contain_text("Car horn")
    expect(events.last).to_contain_text("0:16.0 to 0:20.0")
    medley.page.get_by_text("All windows as a table").click()
    rows = medley.page.locator("#windows tr")
    expect(rows).to_have_count(5)
    expect(rows.nth(1)).to_contain_text("Dog bark")
    expect(rows.nth(3)).to_contain_text("Silence")


def test_each_lane_is_warm_where_its_sound_is(medley: HarkPage) -> None:
    """The strips that are drawn, against the events that are told."""
    for name, place in (("Siren", 0.1), ("Dog bark", 0.3), ("Silence", 0.7), ("Car horn", 0.9)):
        start, end = warmest(medley, name)
        assert start <= place <= end < start + 0.21


def test_a_last_window_that_is_short_takes_nothing_from_the_one_before(hark: HarkPage) -> None:
    siren, rate_hz = soundfile.read(SAMPLES / "siren.wav", always_2d=True)
    fade = np.clip(np.arange(len(siren))[::-1, np.newaxis] / 2_000, 0, 1)
    clip = np.concatenate([siren * fade, np.zeros((rate_hz, 2))])
    hark.choose(wav("five-seconds.wav", clip, rate_hz))
    hark.expect_answer("Siren")
    assert warmest(hark, "Siren") == pytest.approx((0, 0.8), abs=0.01)
    assert warmest(hark, "Silence") == pytest.approx((0.8, 1), abs=0.01)
    now = hark.page.locator("#now")
    hark.slider.press("Home")
    for _ in range(7):  # half a second each
        hark.slider.press("ArrowRight")
    expect(now).to_contain_text("Siren")
    hark.slider.press("ArrowRight")
    expect(now).to_have_text("Silence")
    hark.slider.press("End")
    expect(now).to_have_text("Silence")


def warmest(hark: HarkPage, name: str) -> tuple[float, float]:
    """Return where a lane is warmest, from and to, as parts of the clip."""
    start, end = (
        hark.page.locator(".heat", has_text=name)
        .locator("canvas")
        .evaluate(
            f"""canvas => {{
            const heats = ({OPACITIES})(canvas).subarray(0, canvas.width);  // the topmost row
            const most = Math.max(...heats);
            return [heats.indexOf(most), heats.lastIndexOf(most)].map(x => x / canvas.width);
        }}"""
        )
    )
    return start, end


def test_it_plays_in_step(medley: HarkPage) -> None:
    medley.button("Play").click()
    expect(medley.button("Pause")).to_be_visible()
    expect(medley.page.locator("#clock")).to_have_text(re.compile(r"0:0(0\.[4-9]|[1-3]\.\d) /"))
    heard, shown = medley.page.evaluate(
        f"""() => [
            document.getElementById("audio").currentTime,
            document.getElementById("plot").style.getPropertyValue("--position") * {SECONDS},
        ]"""
    )
    assert abs(heard - shown) < 0.3, "the line is not where the sound is"
    expect(medley.page.locator("#now")).to_contain_text("Siren")
    medley.button("Pause").click()
    expect(medley.button("Play")).to_be_visible()
    medley.page.wait_for_timeout(100)
    before = medley.position()
    medley.page.wait_for_timeout(300)
    assert medley.position() == before


def test_one_goes_through_it_by_keyboard(medley: HarkPage) -> None:
    press, now = medley.slider.press, medley.page.locator("#now")
    press("End")
    assert medley.position() == SECONDS
    expect(now).to_contain_text("Car horn")
    press("PageDown")
    assert medley.position() == 15
    expect(now).to_have_text("Silence")
    press("Home")
    assert medley.position() == 0
    for _ in range(12):
        press("ArrowRight")
    press("ArrowLeft")
    assert medley.position() == 5.5
    value = medley.slider.get_attribute("aria-valuetext") or ""
    assert value.startswith("0:05.5 of 0:20.0, Dog bark")
    assert medley.page.evaluate("document.getElementById('audio').currentTime") == 5.5
    expect(medley.page.locator("#events [aria-current=true]")).to_contain_text("Dog bark")
    press("Space")
    expect(medley.button("Pause")).to_be_visible()
    press("Space")
    expect(medley.button("Play")).to_be_visible()


def test_a_click_goes_there(medley: HarkPage) -> None:
    box = medley.slider.bounding_box()
    assert box is not None
    medley.page.mouse.click(box["x"] + box["width"] * 0.75, box["y"] + 20)
    assert abs(medley.position() - 15) < 0.1
    medley.page.locator("#events button").nth(1).click()
    expect(medley.button("Pause")).to_be_visible()
    assert 4 <= medley.position() < 8


def test_windows_may_be_closer_to_each_other(medley: HarkPage) -> None:
    medley.page.get_by_label("One window every").select_option("1")
    expect(medley.page.locator("#curl")).to_contain_text("hop_seconds=1")
    medley.page.get_by_text("All windows as a table").click()
    expect(medley.page.locator("#windows tr")).to_have_count(17)
