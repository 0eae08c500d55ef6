"""The page at / in real Chromium: every way in, and what it says."""

import base64
import io
import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
from playwright.sync_api import Browser, expect

from tests.live_server import LiveServer
from tests.two_versions import label_of_siren
from tests.web.browser import ARGUMENTS, CHROMIUM
from tests.web.clips import sample, text_file, wav
from tests.web.conftest import OpenPage
from tests.web.hark_page import ANSWER_MS, HarkPage


def in_words(label: str) -> str:
    return label.replace("_", " ").capitalize()


# Ways in


@pytest.mark.parametrize("name", ["siren.wav", "car_horn.mp3"])
def test_a_file_that_is_chosen(hark: HarkPage, name: str) -> None:
    hark.choose(sample(name))
    hark.expect_answer(in_words(name.partition(".")[0]))
    expect(hark.page.locator("#source")).to_have_text(f"{name}, 4.0 seconds")
    rows = hark.page.locator("#bars li")
    expect(rows).to_have_count(10)
    expect(rows.first).to_contain_text(re.compile(r"(9\d|>99)%"))
    expect(hark.announcement).to_contain_text(in_words(name.partition(".")[0]))
    hark.expect_pictures()
    assert hark.inked("#spectrogram") == 1
    assert 0.02 < hark.inked("#waveform") < 0.98


def test_a_file_that_is_dropped(hark: HarkPage) -> None:
    encoded = base64.b64encode(sample("dog_bark.mp3")["buffer"]).decode()
    transfer = hark.page.evaluate_handle(
        """encoded => {
            const bytes = Uint8Array.from(atob(encoded), letter => letter.charCodeAt(0));
            const transfer = new DataTransfer();
            transfer.items.add(new File([bytes], "found.mp3", { type: "audio/mpeg" }));
            return transfer;
        }""",
        encoded,
    )
    root = hark.page.locator("html")
    hark.page.dispatch_event("h1", "dragover", {"dataTransfer": transfer})
    expect(root).to_have_class("dropping")
    hark.page.dispatch_event("h1", "drop", {"dataTransfer": transfer})
    hark.expect_answer("Dog bark")
    expect(root).not_to_have_class("dropping")
    expect(hark.page.locator("#source")).to_contain_text("found.mp3")


def test_a_sample_by_keyboard_alone(hark: HarkPage) -> None:
    keyboard = hark.page.keyboard
    reached = []
    for _ in range(20):
        keyboard.press("Tab")
        focused = hark.page.locator(":focus")
        reached.append(focused.evaluate("e => e.labels?.[0]?.innerText || e.innerText || e.title"))
        width = focused.evaluate(
            "e => getComputedStyle(e.closest('label.button') ?? e).outlineWidth"
        )
        assert width == "3px", f"{reached[-1]!r} does not show that it has the focus"
        if reached[-1] == "Jackhammer":
            break
    assert {"Choose a file", "Record", "Car horn"} <= {text.strip() for text in reached}
    keyboard.press("Enter")
    hark.expect_answer("Jackhammer")


REMEMBER_WHAT_IS_SENT = """() => {
    const append = FormData.prototype.append;
    FormData.prototype.append = function (field, blob, ...rest) {
        window.sent = blob;
        return append.call(this, field, blob, ...rest);
    };
}"""
BYTES_THAT_WERE_SENT = "async () => Array.from(new Uint8Array(await window.sent.arrayBuffer()))"


def test_a_recording_from_the_microphone(hark: HarkPage, tmp_path: Path) -> None:
    hark.page.evaluate(REMEMBER_WHAT_IS_SENT)
    hark.button("Record").click()
    expect(hark.button("Stop and listen")).to_be_visible()
    expect(hark.page.get_by_role("timer")).to_contain_text("0:01", timeout=5_000)
    hark.button("Stop and listen").click()
    expect(hark.page.locator("#source")).to_contain_text("Your recording", timeout=ANSWER_MS)
    expect(hark.verdict).to_be_visible()

    recording = bytes(hark.page.evaluate(BYTES_THAT_WERE_SENT))
    with soundfile.SoundFile(io.BytesIO(recording)) as file:
        assert (file.format, file.subtype, file.channels) == ("WAV", "PCM_16", 1)
        samples = file.read()
        assert 0.9 * file.samplerate < len(samples) < 10 * file.samplerate
    assert np.abs(samples).max() > 0.05, "Chromium's fake microphone beeps"

    with hark.page.expect_download() as download:
        hark.page.get_by_role("link", name="Save the recording").click()
    download.value.save_as(tmp_path / "recording.wav")
    assert (tmp_path / "recording.wav").read_bytes() == recording


def test_a_recording_that_is_discarded(hark: HarkPage) -> None:
    hark.button("Record").click()
    hark.button("Discard").click()
    expect(hark.button("Record")).to_be_focused()
    expect(hark.page.locator("#recording")).to_be_hidden()
    assert hark.posted == []


def test_a_microphone_that_is_refused(open_page: OpenPage) -> None:
    hark = open_page(permissions=[])
    hark.button("Record").click()
    expect(hark.problem).to_contain_text("The microphone was refused")
    expect(hark.problem).to_contain_text("Allow it for this page")
    hark.choose(sample("siren.mp3"))
    hark.expect_answer("Siren")


def test_a_machine_without_a_microphone(browser: Browser, web_server: LiveServer) -> None:
    with browser.browser_type.launch(executable_path=CHROMIUM, args=ARGUMENTS) as without:
        hark = HarkPage(without.new_page())
        hark.page.goto(web_server.url)
        hark.button("Record").click()
        expect(hark.problem).to_contain_text("There is no microphone")


# What it says


def test_an_error_in_words(hark: HarkPage) -> None:
    with hark.page.expect_response("**/classify*") as answered:
        hark.choose(text_file())
    problem = answered.value.json()
    expect(hark.problem).to_be_visible()
    expect(hark.problem).to_contain_text(problem["detail"])
    expect(hark.problem).to_contain_text(problem["request_id"])
    expect(hark.announcement).to_contain_text(problem["detail"])
    expect(hark.page.locator("#result")).to_be_hidden()
    # Chromium notes each answer that says no; it is the only thing that it notes.
    assert [complaint[:28] for complaint in hark.complaints] == ["Failed to load resource: the"]
    hark.complaints.clear()
    hark.choose(sample("siren.wav"))
    hark.expect_answer("Siren")
    expect(hark.problem).to_be_hidden()


def test_silence_is_called_silence(hark: HarkPage) -> None:
    hark.choose(wav("nothing.wav", np.zeros((44_100, 1)), 44_100))
    hark.expect_answer("This is silence")
    expect(hark.page.locator("#bars")).to_be_hidden()


def test_what_breaks_off_is_said_to(hark: HarkPage) -> None:
    whole = sample("siren.wav")
    hark.choose({**whole, "buffer": whole["buffer"][:400_000]})
    hark.expect_answer("Siren")
    expect(hark.page.get_by_text("The file breaks off before its end.")).to_be_visible()


def test_what_only_the_service_can_decode(hark: HarkPage) -> None:
    """Browsers know no Sun AU."""
    samples, rate_hz = soundfile.read(io.BytesIO(sample("siren.wav")["buffer"]))
    file = io.BytesIO()
    soundfile.write(file, samples, rate_hz, format="AU", subtype="PCM_16")
    hark.choose({"name": "siren.au", "mimeType": "audio/basic", "buffer": file.getvalue()})
    hark.expect_answer("Siren")
    expect(hark.page.get_by_text("This browser cannot decode the file")).to_be_visible()
    expect(hark.page.locator("#waveform")).to_be_hidden()
    expect(hark.button("Play")).to_be_disabled()


def test_the_version_that_is_chosen_answers(hark: HarkPage) -> None:
    expect(hark.model).to_have_value("urbansound")
    expect(hark.version).to_have_value("1")
    hark.choose(sample("siren.wav"))
    hark.expect_answer("Siren")
    hark.version.select_option("2")
    hark.expect_answer(in_words(label_of_siren(2)))
    expect(hark.page.locator("#answered-by")).to_have_text("Answered by urbansound, version 2")
    expect(hark.page.locator("#curl")).to_contain_text("/versions/2/classify")


def test_the_data_of_a_model_and_of_what_it_began_as_are_told_with_their_licences(
    hark: HarkPage,
) -> None:
    told = "Trained on UrbanSound8K (CC BY-NC 3.0), and before on Dawn (CC0)."
    expect(hark.page.locator("#about-model")).to_contain_text(told)


def test_doubt_is_said(hark: HarkPage) -> None:
    hark.version.select_option("3")
    hark.choose(sample("siren.wav"))
    label = label_of_siren(3).replace("_", " ")
    hark.expect_answer(f"Not sure: {label}?")
    expect(hark.page.locator("#sure")).to_contain_text("or nothing that this model knows")


# The command


@pytest.mark.parametrize("name", ["siren.wav", 'it\'s; "mine", 50% off.wav'])
def test_the_copied_command_gives_the_same_answer(
    open_page: OpenPage, tmp_path: Path, name: str
) -> None:
    hark = open_page(permissions=["clipboard-read", "clipboard-write"])
    chosen = sample("siren.wav")
    (tmp_path / name).write_bytes(chosen["buffer"])
    hark.choose({**chosen, "name": name})
    hark.expect_answer("Siren")
    assert run_copied_command(hark, tmp_path)["label"] == "siren"


def test_the_command_for_a_sample_needs_no_file(open_page: OpenPage, tmp_path: Path) -> None:
    hark = open_page(permissions=["clipboard-read", "clipboard-write"])
    hark.button("Car horn").click()
    hark.expect_answer("Car horn")
    assert run_copied_command(hark, tmp_path)["label"] == "car_horn"


def run_copied_command(hark: HarkPage, folder: Path) -> dict[str, object]:
    hark.button("Copy").click()
    expect(hark.button("Copied")).to_be_visible()
    command: str = hark.page.evaluate("navigator.clipboard.readText()")
    assert command == hark.page.locator("#curl").inner_text()
    finished = subprocess.run(
        ["bash", "-c", f"set -euo pipefail; {command}"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    answer: dict[str, object] = json.loads(finished.stdout)
    return answer
