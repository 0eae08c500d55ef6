"""The page of a run: one HTML file that asks nobody for anything, and runs no script.

The template (`templates/report.html.j2`) escapes all that it is given; what is made here is either
numbers, words, or bytes as `data:` addresses.
"""

import base64
import hashlib
import json
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import jinja2
from markupsafe import Markup
from matplotlib.figure import Figure

from app.errors import AudioError
from training.audit import Audit
from training.calibration import N_BINS, ReliabilityBin
from training.cross_validation import Outcome
from training.features_cache import UnreadableClip
from training.model_card import features_in_words
from training.recipe import Recipe
from training.report.answers import Answer, worst_mistakes
from training.report.figures import bins_figure, durations_figure, round_figure
from training.report.looks import colours, on_dark, svg, webp
from training.report.sounds import mp3, read_excerpt, spectrogram_figure
from training.results import CrossValidation, RoundResult
from training.run_record import RunRecord

# Of a model: each quantity after each epoch.
History = Mapping[str, Sequence[float]]
N_MISTAKES: Final = 10
_TEMPLATES: Final = Path(__file__).parent / "templates"


@dataclass(frozen=True, slots=True)
class PageContent:
    """All that the page of a run tells.

    Attributes:
        recipe: what was cross-validated.
        outcome: what came of it.
        audit: what the clips are that it was done with.
        unreadable: those that were left out.
        record: how the run was made.
        names: what to call each file.
    """

    recipe: Recipe
    outcome: Outcome
    audit: Audit
    unreadable: Sequence[UnreadableClip]
    record: RunRecord
    names: dict[Path, str]


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure for light and one for dark paper, as `data:` addresses, and the same in words."""

    light: str
    dark: str
    words: str


@dataclass(frozen=True, slots=True)
class Mistake:
    """A wrong answer, to read, to hear and to see; `problem` says why it cannot be heard."""

    answer: Answer
    name: str
    audio: str | None = None
    picture: str | None = None
    length: str = ""
    problem: str | None = None

    @property
    def ranked(self) -> list[tuple[str, float]]:
        """The two most probable labels, and the clip's own where it is neither."""
        ranked = list(self.answer.probabilities.items())
        own = self.answer.clip.label
        return ranked[:2] + [each for each in ranked[2:] if each[0] == own]


def render_page(content: PageContent) -> str:
    """Return the page as HTML."""
    figures = content.outcome.figures
    histories = [each.history for each in figures.rounds]
    style = (_TEMPLATES / "report.css").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(percent=_percent, clock=_clock)
    return environment.get_template("report.html.j2").render(
        style=Markup(style),  # noqa: S704  # our own file
        style_hash=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        content=content,
        figures=figures,
        features=features_in_words(content.recipe.front_end.features),
        recipe_json=json.dumps(content.record.recipe, indent=2),
        curves=_curves(figures.rounds),
        curves_lead=curves_lead(histories, content.recipe.training.networks),
        epochs_counted=_epochs_counted(histories),
        rows=confusion_rows(figures),
        by_label=sorted(figures.together.by_label.items(), key=lambda item: -item[1].f1),
        reliability=_reliability(figures),
        n_bins=N_BINS,
        mistakes=_mistakes(content),
        n_wrong=sum(int((~part.right).sum()) for part in content.outcome.answers),
        durations=_picture(
            partial(durations_figure, content.audit.durations()),
            f"Histogram of the durations of {len(content.audit.headers)} files",
        ),
        short=content.names,
        unreadable=[(clip.path, clip.reason) for clip in content.unreadable],
        odd=_odd(content.audit),
        python=f"{platform.python_version()}, {platform.system()} {platform.machine()}",
    )


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of the confusion matrix; `step` is its share in tenths, for its shade."""

    count: int
    share: float
    is_right: bool

    @property
    def step(self) -> int:
        """0 for nothing, else 1 to 10."""
        return max(1, round(10 * self.share)) if self.count else 0


def confusion_rows(figures: CrossValidation) -> list[tuple[str, int, list[Cell]]]:
    """Return each label, the number of its clips, and what they were taken for."""
    return [
        (
            label,
            sum(counts),
            [
                Cell(count, count / max(1, sum(counts)), row == column)
                for column, count in enumerate(counts)
            ],
        )
        for row, (label, counts) in enumerate(
            zip(figures.labels, figures.together.confusion_matrix, strict=True)
        )
    ]


def _curves(rounds: Sequence[RoundResult]) -> list[tuple[RoundResult, Picture]]:
    # The first epochs' losses may be a hundred times the others': what comes later is to be seen.
    starts = [values[min(1, len(values) - 1)] for each in rounds for values in _losses(each)]
    ends = [max(values[len(values) // 4 :]) for each in rounds for values in _losses(each)]
    highest = max(min(max(starts), 3 * max(ends)), max(ends))
    return [
        (each, _picture(partial(round_figure, each, highest), _in_words(each))) for each in rounds
    ]


def curves_lead(histories: Sequence[History], networks: int) -> str:
    """Say of which models the rounds' curves are; a model has so many networks."""
    if _epochs_counted(histories):
        return (
            "Of the models that counted epochs on a validation part. Each fold was then tested "
            "with a fresh model, fitted for the epochs that were kept."
        )
    first = "" if networks == 1 else ", of each the first network"
    return (
        f"Of the models that each fold was tested with{first}: they were fitted for a fixed number "
        "of epochs."
    )


def _epochs_counted(histories: Sequence[History]) -> bool:
    return any("val_loss" in history for history in histories)


def _losses(result: RoundResult) -> list[list[float]]:
    return [result.history[name] for name in ("loss", "val_loss") if name in result.history]


def _in_words(result: RoundResult) -> str:
    history = result.history
    words = (
        f"Fold {result.test}, {len(history['loss'])} epochs: training loss from "
        f"{history['loss'][0]:.2f} to {history['loss'][-1]:.2f}, accuracy from "
        f"{history['accuracy'][0]:.0%} to {history['accuracy'][-1]:.0%}"
    )
    if "val_loss" not in history:
        return words
    return (
        f"{words}; validation loss lowest with {min(history['val_loss']):.2f}, accuracy highest "
        f"with {max(history['val_accuracy']):.0%}; {result.epochs} epochs kept"
    )


def _reliability(figures: CrossValidation) -> list[tuple[str, float, Any, Picture]]:
    if figures.reliability is None:
        return []
    sides: tuple[tuple[str, float, list[ReliabilityBin]], ...] = (
        ("Before calibration", figures.ece_before, figures.reliability.before),
        ("After calibration", figures.ece_after, figures.reliability.after),
    )
    return [
        (
            title,
            error,
            [each for each in bins if each.clips],
            _picture(
                partial(bins_figure, bins),
                f"Reliability diagram {title.lower()}: share of right answers by top probability; "
                f"expected calibration error {error:.3f}. The table below has its numbers.",
            ),
        )
        for title, error, bins in sides
    ]


def _mistakes(content: PageContent) -> list[Mistake]:
    worst = worst_mistakes(content.outcome, N_MISTAKES)
    return [_mistake(answer, content.names[answer.clip.path]) for answer in worst]


def _mistake(answer: Answer, name: str) -> Mistake:
    try:
        excerpt = read_excerpt(answer.clip.path)
    except (AudioError, OSError) as error:
        return Mistake(answer, name, problem=str(error))
    with colours():
        picture = webp(spectrogram_figure(excerpt))
    length = f"{excerpt.clip_seconds:.1f} s"
    return Mistake(
        answer,
        name,
        audio=_address("audio/mpeg", mp3(excerpt)),
        picture=_address("image/webp", picture),
        length=f"the first {excerpt.seconds:.0f} s of {length}" if excerpt.is_cut else length,
    )


def _odd(audit: Audit) -> list[tuple[Path, str]]:
    """Return files that were trained on, in spite of what their headers are, and what that is."""
    odd = [(header.clip.path, header.oddity or "") for header in audit.oddities()]
    return odd + [(clip.path, f"its header: {clip.reason}") for clip in audit.unreadable]


def _picture(draw: Callable[[], Figure], words: str) -> Picture:
    with colours():
        drawn = svg(draw())
    kind = "image/svg+xml"
    return Picture(_address(kind, drawn), _address(kind, on_dark(drawn)), words)


def _address(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def _percent(share: float | None, digits: int = 1) -> str:
    return "–" if share is None else f"{share:.{digits}%}"  # noqa: RUF001  # a dash for no number


def _clock(seconds: float) -> str:
    """Say how long something took, in the two largest units."""
    whole = round(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{whole} s"
