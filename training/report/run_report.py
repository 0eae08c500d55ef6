"""The folder that a run leaves: figures, plots, every answer, and the page."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from app.progress import Begin
from training.audit import audit
from training.cross_validation import Outcome
from training.export import library_versions
from training.recipe import Recipe
from training.report.answers import PREDICTIONS_FILE, short_names, write_predictions
from training.report.files import write_figures, write_more_plots
from training.report.page import PageContent, render_page
from training.run_record import RUN_FILE, RunRecord
from training.runs import Run
from training.starting_point import earlier_training

PAGE_FILE: Final = "report.html"


def write_run_report(
    folder: Path,
    run: Run,
    outcome: Outcome,
    command: str,
    began: datetime,
    begin: Begin,
    model: str | None = None,
) -> Path:
    """Write all that a run leaves into a folder, which is made where it does not exist.

    Args:
        folder: where `metrics.json`, the plots, `predictions.csv`, `run.json` and `report.html` go.
        run: the recipe with its data.
        outcome: what came of its cross-validation.
        command: the command line that began it.
        began: when.
        begin: is told how it goes on.
        model: the version that was fitted, as name@version; None where none was.

    Returns:
        The page.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = run.dataset.clips
    audited = audit(run.dataset, begin("reading headers", len(files)))
    names = short_names([clip.path for clip in files] + [clip.path for clip in run.data.unreadable])
    advance = begin("writing the report", 4)
    write_figures(folder, outcome.figures)
    advance("figures")
    write_more_plots(folder, outcome.figures)
    advance("plots")
    write_predictions(folder / PREDICTIONS_FILE, outcome, names)
    advance("answers")
    record = RunRecord(
        command=command,
        began=began,
        seconds=(datetime.now(UTC) - began).total_seconds(),
        recipe=_fields(run.recipe),
        dataset=run.dataset.name,
        licence=run.dataset.licence,
        clips=len(files),
        library_versions=library_versions(),
        model=model,
        earlier=earlier_training(run.recipe),
    )
    record_json = record.model_dump_json(indent=1)
    (folder / RUN_FILE).write_text(record_json + "\n", encoding="utf-8")
    html = render_page(
        PageContent(
            recipe=run.recipe,
            outcome=outcome,
            audit=audited,
            unreadable=run.data.unreadable,
            record=record,
            names=names,
        )
    )
    page = folder / PAGE_FILE
    page.write_text(html, encoding="utf-8")
    advance("page")
    return page


def _fields(recipe: Recipe) -> dict[str, Any]:
    values = recipe.model_dump(mode="json", exclude={"front_end"})
    return {**values, "front_end": recipe.front_end.to_manifest()}
