"""The page for everybody: axe-core's rules, small screens, dark and light."""

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import expect

from tests.web.clips import text_file
from tests.web.conftest import OpenPage
from tests.web.hark_page import HarkPage

LOOKS = [(width, dark) for width in (360, 1440) for dark in (False, True)]


def show_answer(hark: HarkPage) -> None:
    hark.button("Medley").click()
    hark.expect_answer("Several sounds")


def show_problem(hark: HarkPage) -> None:
    hark.choose(text_file())
    expect(hark.problem).to_be_visible()


STATES: list[Callable[[HarkPage], None]] = [show_problem, show_answer]


@pytest.mark.parametrize(("width", "dark"), LOOKS)
def test_no_rule_is_broken_in_any_state(open_page: OpenPage, width: int, dark: bool) -> None:
    hark = open_page(width=width, dark=dark)
    check(hark)
    for show in STATES:
        show(hark)
        check(hark)


def test_no_rule_is_broken_while_one_records(open_page: OpenPage) -> None:
    hark = open_page(width=360)
    hark.button("Record").click()
    expect(hark.page.get_by_role("timer")).to_be_visible()
    check(hark)


def check(hark: HarkPage) -> None:
    results = Axe().run(hark.page)
    assert results.violations_count == 0, results.generate_report()
    wide, room = hark.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert wide <= room, "the page is wider than its window"


def test_colours_follow_the_choice_and_keep_it(open_page: OpenPage) -> None:
    hark = open_page(dark=True)
    paper = "getComputedStyle(document.body).backgroundColor"
    dark = hark.page.evaluate(paper)
    toggle = hark.button("Dark colours")
    expect(toggle).to_have_attribute("aria-pressed", "true")
    toggle.click()
    expect(toggle).to_have_attribute("aria-pressed", "false")
    light = hark.page.evaluate(paper)
    assert light != dark
    hark.page.reload()
    expect(toggle).to_have_attribute("aria-pressed", "false")
    assert hark.page.evaluate(paper) == light
