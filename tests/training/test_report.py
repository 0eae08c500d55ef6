"""The folder of a run: the page as a browser shows it, every answer, and figures that agree."""

import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Browser, Page, expect

from app.inference.store import ModelReference, ModelStore
from app.metrics.recorded import read_recorded
from tests.tiny_model import LABELS, RECIPE, SAVING_WARNS, TinyModel, sound, wav, write_data
from tests.web.browser import chromium
from training import cli
from training.calibration import (
    Marks,
    ReliabilityBin,
    expected_calibration_error,
    reliability_bins,
)
from training.evaluate import LabelMetrics, Metrics, SalienceMetrics
from training.report.answers import short_names
from training.report.page import N_MISTAKES, curves_lead
from training.report.sounds import mp3, read_excerpt, spectrogram_decibels
from training.results import CrossValidation, RoundResult

pytestmark = SAVING_WARNS

HOSTILE_LABEL = "<script>document.title='taken'</script>"
HOSTILE_FILE = '<img src=x onerror=alert(1)> & "co".wav'
DOCUMENT = Path(__file__).parents[2] / "docs" / "training.md"
PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True, slots=True)
class Reported:
    """A folder that `fit --out` wrote, and the version that it put into a store."""

    folder: Path
    version: Path

    @property
    def page(self) -> Path:
        return self.folder / "report.html"

    @property
    def html(self) -> str:
        return self.page.read_text(encoding="utf-8")

    @property
    def metrics(self) -> dict[str, Any]:
        read: dict[str, Any] = json.loads((self.folder / "metrics.json").read_bytes())
        return read

    @property
    def predictions(self) -> list[dict[str, str]]:
        with (self.folder / "predictions.csv").open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    @property
    def wrong(self) -> list[dict[str, str]]:
        return [row for row in self.predictions if row["label"] != row["predicted"]]


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Reported:
    """A hasty run over sounds of which some have another's label."""
    data = TinyModel(tmp_path_factory.mktemp("report"))
    write_data(data)
    with data.data.open(newline="") as file:
        _, *rows = csv.reader(file)
    labels = dict(zip(LABELS, (*LABELS[:2], HOSTILE_LABEL), strict=True))
    changed = []
    for place, (path, label, fold) in enumerate(rows):
        wrongly = LABELS[(LABELS.index(label) + 1) % 3] if place % 3 == 0 else label
        changed.append((path, labels[wrongly], fold, "12"[place % 2]))
    first = data.folder / changed[1][0]
    first.rename(first.with_name(HOSTILE_FILE))
    changed[1] = (f"sounds/{HOSTILE_FILE}", *changed[1][1:])
    with data.data.open("w", newline="") as file:
        csv.writer(file).writerows([("path", "label", "fold", "salience"), *changed])
    recipe = data.folder / "hasty.toml"
    recipe.write_text(RECIPE.replace("epochs = 8", "epochs = 2"))
    folder = data.folder / "out"
    arguments = [
        *("fit", str(recipe), "--data", str(data.data), "--name", "hasty"),
        *("--store", str(data.store), "--cache", str(data.cache), "--out", str(folder)),
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["hark-train", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
    assert not ended.value.code
    return Reported(folder, data.store / "hasty" / "1")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@dataclass(frozen=True, slots=True)
class Opened:
    """The page in a browser; what the browser complained of, and asked for."""

    page: Page
    complaints: list[str]
    asked: list[str]


def open_report(browser: Browser, path: Path, *, width: int = 1440, dark: bool = False) -> Opened:
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light"
    )
    page = context.new_page()
    opened = Opened(page, [], [])
    page.on("console", lambda message: opened.complaints.append(message.text))
    page.on("pageerror", lambda error: opened.complaints.append(str(error)))
    page.on("request", lambda request: opened.asked.append(request.url))
    page.goto(path.as_uri())
    return opened


@pytest.mark.parametrize(
    ("width", "dark"),
    [(390, True), (1440, False)],
    ids=["phone, dark", "wide, light"],
)
def test_no_rule_is_broken_and_nobody_is_asked(
    browser: Browser, reported: Reported, width: int, dark: bool
) -> None:
    opened = open_report(browser, reported.page, width=width, dark=dark)
    for summary in opened.page.locator("summary").all():
        summary.click()
    results = Axe().run(opened.page)
    assert results.violations_count == 0, results.generate_report()
    scrolled, room = opened.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert scrolled <= room, "the page is wider than its window"
    outside = [url for url in opened.asked if not url.startswith("data:")]
    assert outside == [reported.page.as_uri()]
    assert opened.complaints == []
    opened.page.context.close()


@pytest.fixture(scope="module")
def opened(browser: Browser, reported: Reported) -> Iterator[Opened]:
    page = open_report(browser, reported.page)
    yield page
    page.page.context.close()


def test_the_worst_mistakes_can_be_heard_and_seen(opened: Opened, reported: Reported) -> None:
    worst = sorted(reported.wrong, key=lambda row: -confidence(row))[:N_MISTAKES]
    shown = opened.page.locator(".mistakes li")
    assert len(worst) > 2
    expect(shown).to_have_count(len(worst))
    for row, card in zip(worst, shown.all(), strict=True):
        expect(card.get_by_role("heading")).to_have_text(row["file"])
        expect(card.locator(".verdict")).to_contain_text(f"{confidence(row):.1%}")
        expect(card.locator(".verdict")).to_contain_text(row["label"].replace("_", " "))
    seconds = opened.page.evaluate(
        """() => Promise.all([...document.querySelectorAll("audio")].map(async audio => {
            audio.muted = true;
            await audio.play();
            const { duration } = audio;
            audio.pause();
            return duration;
        }))"""
    )
    assert len(seconds) == len(worst)
    assert all(0.9 < length < 2.3 for length in seconds)
    widths = opened.page.evaluate(
        "[...document.images].map(image => image.complete && image.naturalWidth)"
    )
    assert len(widths) > len(worst)
    assert all(widths)


def confidence(row: dict[str, str]) -> float:
    return float(row[f"probability_{row['predicted']}"])


def test_the_figures_are_those_of_metrics_json(opened: Opened, reported: Reported) -> None:
    metrics = reported.metrics
    page = opened.page
    expect(page.locator("#accuracy")).to_have_text(f"{metrics['accuracy_mean']:.1%}")
    expect(page.locator("#macro-f1")).to_have_text(f"{metrics['macro_f1_mean']:.3f}")
    expect(page.locator("#ece-after")).to_have_text(f"{metrics['ece_after']:.3f}")
    expect(page.locator("#command")).to_have_text(
        re.compile(r"^hark-train fit .*hasty.toml --data ")
    )
    counts = [
        [int(cell.inner_text().split()[0]) for cell in row.locator("td").all()]
        for row in page.locator(".matrix tbody tr").all()
    ]
    assert counts == metrics["together"]["confusion_matrix"]
    background = page.get_by_role("region", name="Figures by salience").locator("tr").nth(2)
    accuracy = metrics["together"]["by_salience"]["background"]["accuracy"]
    expect(background).to_contain_text(f"{accuracy:.1%}")


def test_what_is_hostile_is_shown_as_it_is(opened: Opened, reported: Reported) -> None:
    page = opened.page
    assert page.title().startswith("tiny on sounds")
    shown = HOSTILE_LABEL.replace("_", " ")
    expect(page.locator(".matrix tbody th", has_text=shown)).to_have_count(1)
    assert page.locator("script").count() == 0
    assert page.locator("img[onerror]").count() == 0
    assert HOSTILE_LABEL not in reported.html
    assert HOSTILE_FILE in {row["file"] for row in reported.predictions}
    assert "broken.wav" in page.locator("#data").inner_text()


def test_printed_it_is_light(browser: Browser, reported: Reported) -> None:
    """Also by one who reads it in the dark."""
    page = open_report(browser, reported.page, dark=True).page
    shown = (
        "[...document.images].filter(each => each.checkVisibility()).map(each => each.className)"
    )
    assert set(page.evaluate(shown)) == {"on-dark", ""}
    page.emulate_media(media="print", color_scheme="dark")
    assert set(page.evaluate(shown)) == {"on-light", ""}
    paper = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(paper) == "rgb(255, 255, 255)"
    page.context.close()


def test_headings_are_in_order(opened: Opened) -> None:
    levels = opened.page.evaluate(
        "[...document.querySelectorAll('h1,h2,h3,h4')].map(each => +each.tagName[1])"
    )
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_every_clip_has_its_answer(reported: Reported) -> None:
    rows, metrics = reported.predictions, reported.metrics
    assert len({row["file"] for row in rows}) == len(rows) == metrics["together"]["clips"] == 36
    right = sum(row["label"] == row["predicted"] for row in rows)
    assert right / len(rows) == pytest.approx(metrics["together"]["accuracy"])
    assert {row["fold"] for row in rows} == {turn["test"] for turn in metrics["rounds"]}
    for row in rows:
        probabilities = {
            name.removeprefix("probability_"): float(value)
            for name, value in row.items()
            if name.startswith("probability_")
        }
        assert list(probabilities) == metrics["labels"]
        assert sum(probabilities.values()) == pytest.approx(1, abs=1e-4)
        assert probabilities[row["predicted"]] == max(probabilities.values())


def test_the_same_comes_as_json_and_png(reported: Reported) -> None:
    assert sorted(path.name for path in reported.folder.iterdir()) == [
        "accuracy.png", "confusion_matrix.png", "labels.png", "loss.png", "metrics.json",
        "predictions.csv", "reliability.png", "report.html", "run.json",
    ]  # fmt: skip
    for path in reported.folder.glob("*.png"):
        assert path.read_bytes().startswith(PNG)


def test_no_clip_travels_with_the_model(reported: Reported) -> None:
    assert {path.name for path in reported.version.iterdir()} == {
        "MODEL_CARD.md", "confusion_matrix.png", "front_end.npz", "loss.png", "manifest.json",
        "metrics.json", "model.keras", "model.onnx", "reliability.png",
    }  # fmt: skip
    assert "](reliability.png)" in (reported.version / "MODEL_CARD.md").read_text()
    assert "hasty@1, fitted on all clips" in reported.html


def test_the_page_is_small(reported: Reported) -> None:
    assert reported.page.stat().st_size < 3_000_000


def test_reliability_bins_are_those_of_the_calibration_error(reported: Reported) -> None:
    metrics = reported.metrics
    for side, error in (("before", "ece_before"), ("after", "ece_after")):
        bins = [each for each in metrics["reliability"][side] if each["clips"]]
        assert sum(each["clips"] for each in bins) == 36
        gaps = sum(each["clips"] * abs(each["confidence"] - each["accuracy"]) for each in bins)
        assert gaps / 36 == pytest.approx(metrics[error])


def test_a_version_tells_serving_what_it_answered_on_clips_that_it_had_not_heard(
    reported: Reported,
) -> None:
    store = ModelStore(reported.version.parents[1])
    reference = read_recorded(store, ModelReference(reported.version.parent.name, 1)).reference
    assert reference is not None
    matrix = reported.metrics["together"]["confusion_matrix"]
    assert reference.clips_by_label == tuple(np.sum(matrix, axis=0))
    assert reference.clips_by_bin is not None
    assert (sum(reference.clips_by_label), sum(reference.clips_by_bin)) == (36, 36)


@pytest.mark.parametrize(
    ("history", "networks", "words"),
    [
        ({"loss": [1.0], "val_loss": [1.0]}, 3, "tested with a fresh model, fitted for the epochs"),
        ({"loss": [1.0]}, 1, "tested with: they were fitted for a fixed number"),
        ({"loss": [1.0]}, 3, "tested with, of each the first network: they were"),
    ],
    ids=["epochs counted", "a fixed number", "several networks"],
)
def test_curves_are_said_to_be_of_the_models_that_they_are_of(
    history: dict[str, list[float]], networks: int, words: str
) -> None:
    assert words in curves_lead([history], networks)


def test_a_bin_without_answers_has_no_figures() -> None:
    confidence, right = np.array([0.05, 1.0, 0.99]), np.array([False, True, False])
    bins = reliability_bins(confidence, right)
    assert [each.clips for each in bins] == [1] + [0] * 13 + [2]
    assert bins[1].accuracy is None
    assert bins[14].accuracy == 0.5
    assert bins[14].confidence == pytest.approx(0.995)
    assert expected_calibration_error(confidence, right) == pytest.approx((0.05 + 0.99) / 3)


@pytest.mark.parametrize(
    ("rate_hz", "mp3_rate_hz", "heard_hz"),
    [(8_000, 22_050, 4_000), (22_050, 22_050, 11_025), (48_000, 24_000, 12_000)],
    ids=["8 kHz", "22.05 kHz", "48 kHz"],
)
def test_a_long_clip_is_cut(
    tmp_path: Path, rate_hz: int, mp3_rate_hz: int, heard_hz: float
) -> None:
    path = tmp_path / "long.wav"
    tone = sound("tone", seed=1, seconds=12.5, rate_hz=rate_hz)
    path.write_bytes(wav(np.stack([tone, np.zeros_like(tone)], axis=1), rate_hz))
    excerpt = read_excerpt(path)
    assert excerpt.is_cut
    assert excerpt.heard_hz == heard_hz
    assert excerpt.clip_seconds == pytest.approx(12.5, abs=0.001)
    assert excerpt.seconds == pytest.approx(10, abs=0.01)
    encoded = mp3(excerpt)
    heard, heard_rate = soundfile.read(io.BytesIO(encoded))
    assert heard_rate == mp3_rate_hz
    assert heard.ndim == 1
    assert len(heard) / heard_rate == pytest.approx(10, abs=0.2)
    assert heard.std() == pytest.approx(tone.std() / 2, rel=0.05)
    assert len(encoded) < 120_000
    loudest = spectrogram_decibels(excerpt)[:, 50].argmax() * mp3_rate_hz / 1024
    spectrum = np.abs(np.fft.rfft(tone))
    assert loudest == pytest.approx(spectrum.argmax() / 12.5, abs=mp3_rate_hz / 1024)


@pytest.mark.parametrize("n_samples", [1, 100, 4_000], ids=["one sample", "short", "silence"])
def test_next_to_nothing_has_a_spectrogram(tmp_path: Path, n_samples: int) -> None:
    path = tmp_path / "silence.wav"
    path.write_bytes(wav(np.zeros(n_samples)))
    excerpt = read_excerpt(path)
    assert not excerpt.is_cut
    assert spectrogram_decibels(excerpt).max() == -80
    assert mp3(excerpt)


def test_files_are_named_below_the_folder_that_holds_them_all() -> None:
    dog, cat = Path("data/dog/1.wav"), Path("data/cat/1.wav")
    assert short_names([dog, cat]) == {dog: "dog/1.wav", cat: "cat/1.wav"}
    assert short_names([dog]) == {dog: "1.wav"}
    assert short_names([]) == {}


def test_each_field_of_metrics_json_is_documented() -> None:
    section = DOCUMENT.read_text(encoding="utf-8").split("### metrics.json")[1].split("\n## ")[0]
    documented = re.findall(r"^\| `([^`]+)`", section, re.MULTILINE)
    assert documented == [
        *CrossValidation.model_fields,
        *(f"rounds[].{name}" for name in RoundResult.model_fields),
        *(f"together.{name}" for name in Metrics.model_fields),
        *(f"together.by_label.LABEL.{name}" for name in LabelMetrics.model_fields),
        *(f"together.by_salience.WHERE.{name}" for name in SalienceMetrics.model_fields),
        *(f"marks.{name}" for name in Marks.model_fields),
        *(f"reliability.after[].{name}" for name in ReliabilityBin.model_fields),
    ]
