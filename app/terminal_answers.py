"""What `hark classify` shows on the terminal: bars, or a JSON object a line."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from app.audio.cutting import Cutting
from app.bulk.files import AudioFile, find_files
from app.bulk.remote import Place, Remote
from app.bulk.rows import Failure
from app.errors import HarkError
from app.inference.artifact import Artifact
from app.inference.classification import Classification
from app.inference.labels import check_labels, most_probable
from app.inference.store import ModelReference
from app.inference.threads import compute_on_one_thread
from app.settings import Settings

if TYPE_CHECKING:
    from rich.table import Table

BAR_WIDTH: Final = 24


@dataclass(frozen=True, slots=True)
class Shown:
    """How much of an answer is shown: the options of the API by the same names."""

    top_k: int
    threshold: float | None
    labels: list[str] | None
    windows: bool


def show_answers(
    paths: Sequence[Place],
    recursive: bool,
    artifact: Artifact,
    settings: Settings,
    cutting: Cutting,
    shown: Shown,
    as_json: bool,
) -> int:
    """Classify files one by one, in this process, and show each answer as it is there.

    Returns:
        The exit status: 1 where a file has no answer.

    Raises:
        BulkError: one of several folders and files does not exist.
        HarkError: the model cannot be loaded, or has no such label.
    """
    compute_on_one_thread()
    from app.inference.classifier import Classifier

    manifest = artifact.manifest
    check_labels(ModelReference.of(manifest), manifest.labels, shown.labels or ())
    files = _files(paths, recursive)
    classifier = Classifier.load(artifact, settings.engine)
    failed = False
    for file in files:
        try:
            data = file.path.read_bytes()
            answer = classifier.classify(data, settings.decode_limits, cutting)
            _show_answer(file.name, answer, shown, as_json)
        except (HarkError, OSError) as error:
            failed = True
            _show_failure(file.name, Failure.of(error), as_json)
    return 1 if failed else 0


def _files(paths: Sequence[Place], recursive: bool) -> list[AudioFile]:
    """Return the files, as they are named; where there is a folder, what is found."""
    if not any(isinstance(path, Remote) or path.is_dir() for path in paths):
        return [AudioFile(path, str(path)) for path in paths]
    found = find_files(paths, recursive=recursive)
    for sentence in found.sentences():
        print(sentence, file=sys.stderr)
    return found.files


def _show_answer(name: str, answer: Classification, shown: Shown, as_json: bool) -> None:
    if as_json:
        from app.api.options import ClassifyOptions
        from app.api.schemas import ClassificationAnswer

        given = {name: value for name, value in asdict(shown).items() if value is not None}
        options = ClassifyOptions(**given)
        content = ClassificationAnswer.of(answer, options).model_dump(exclude_none=True)
        print(json.dumps({"file": name, **content}))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    told = answer if shown.labels is None else answer.only(shown.labels)
    doubt = ", silence" if told.silence else ", uncertain" if told.uncertain else ""
    heading = Text(f"{name} ({told.duration_seconds:.1f} s, {told.model}{doubt})")
    table = Table(show_header=False, box=None)
    for label, probability in told.top(shown.top_k):
        if probability >= (shown.threshold or 0.0):
            bar = "█" * round(probability * BAR_WIDTH)
            table.add_row(Text(label), Text(f"{bar:<{BAR_WIDTH}}", "cyan"), f"{probability:6.1%}")
    console = Console()
    console.print(heading, soft_wrap=True)
    console.print(table)
    if shown.windows:
        console.print(_windows(told))


def _windows(answer: Classification) -> "Table":
    """Return a line for each window: its times, and what it is."""
    from rich.table import Table
    from rich.text import Text

    labels = list(answer.probabilities)
    table = Table(show_header=False, box=None)
    for window in answer.windows:
        label, probability = most_probable(labels, window.probabilities)
        table.add_row(
            f"{window.start_seconds:.2f} to {window.end_seconds:.2f} s",
            Text("silence" if window.silence else label),
            "" if window.silence else f"{probability:6.1%}",
        )
    return table


def _show_failure(name: str, failure: Failure, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"file": name, "code": failure.code, "error": failure.sentence}))
    else:
        print(f"{name}: {failure.sentence}", file=sys.stderr)
