"""What the commands print: tables for a terminal."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:  # several of these import TensorFlow or matplotlib, which a table needs not
    from training.ablation import Arm
    from training.audit import Audit, Header
    from training.comparison import NamedRun, PairedTest
    from training.evaluate import Metrics
    from training.features_cache import UnreadableClip
    from training.recipe import Described
    from training.results import CrossValidation
    from training.sweep_trials import Trial

_N_BEST: Final = 10  # trials of a sweep that are shown


def label_table(audit: Audit) -> Table:
    """Show the clips of each label by fold."""
    folds = audit.dataset.folds
    table = Table(title=escape(f"{audit.dataset.name} (licence: {audit.dataset.licence})"))
    table.add_column("label")
    for fold in folds:
        table.add_column(escape(f"fold {fold}"), justify="right")
    table.add_column("clips", justify="right", style="bold")
    counts = audit.by_label_and_fold()
    for label, by_fold in counts.items():
        table.add_row(escape(label), *(str(by_fold[fold]) for fold in folds), str(by_fold.total()))
    table.add_section()
    per_fold = [sum(by_fold[fold] for by_fold in counts.values()) for fold in folds]
    table.add_row("all", *map(str, per_fold), str(len(audit.dataset.clips)))
    return table


def distribution_table(audit: Audit) -> Table:
    """Show how the files are spread over sample rates, channels, encodings and durations."""
    table = Table(title="files")
    table.add_column("what")
    table.add_column("value")
    table.add_column("files", justify="right")
    for what, counts in audit.distributions().items():
        for index, (value, count) in enumerate(counts.most_common()):
            table.add_row(what if index == 0 else "", escape(value), str(count))
        table.add_section()
    return table


def unreadable_table(clips: Sequence[UnreadableClip]) -> Table:
    """Show the files that cannot be used, with the reason."""
    table = Table(title=f"[red]{len(clips)} files cannot be used, and are left out[/red]")
    table.add_column("file", overflow="fold")
    table.add_column("why")
    for clip in clips:
        table.add_row(escape(str(clip.path)), escape(clip.reason))
    return table


def oddity_table(headers: Sequence[Header]) -> Table:
    """Show the files that can be opened, but have something odd about them."""
    table = Table(title=f"[yellow]{len(headers)} files to look at[/yellow]")
    table.add_column("file", overflow="fold")
    table.add_column("what")
    for header in headers:
        table.add_row(escape(str(header.clip.path)), escape(header.oddity or ""))
    return table


def cross_validation_table(result: CrossValidation) -> Table:
    """Show each round, and their mean."""
    error = (
        f"expected calibration error {result.ece_before:.3f}, "
        f"{result.ece_after:.3f} at temperature {result.calibration.temperature:.2f}"
    )
    table = Table(title="cross-validation", caption=escape(f"{result.protocol}\n{error}"))
    for name in ("test fold", "clips", "epochs", "accuracy", "macro F1"):
        table.add_column(name, justify="right")
    for turn in result.rounds:
        table.add_row(
            escape(turn.test),
            str(turn.metrics.clips),
            str(turn.epochs),
            f"{turn.metrics.accuracy:.4f}",
            f"{turn.metrics.macro_f1:.4f}",
        )
    table.add_section()
    table.add_row(
        "mean",
        str(result.together.clips),
        str(result.epochs),
        f"{result.accuracy_mean:.4f} ± {result.accuracy_deviation:.4f}",
        f"{result.macro_f1_mean:.4f}",
        style="bold",
    )
    return table


def salience_table(metrics: Metrics) -> Table:
    """Show how well sounds in the foreground and in the background are recognised."""
    table = Table(title="where the sound is")
    table.add_column("salience")
    for name in ("clips", "accuracy"):
        table.add_column(name, justify="right")
    for salience, part in metrics.by_salience.items():
        table.add_row(escape(salience), str(part.clips), f"{part.accuracy:.4f}")
    return table


def comparison_table(runs: Sequence[NamedRun], tests: Sequence[PairedTest]) -> Table:
    """Show several runs over the same folds; each but the first with its test against it."""
    table = Table(title="comparison", caption=f"tests are against {escape(runs[0].name)}")
    table.add_column("run", overflow="fold")
    folds = [escape(f"fold {part.test}") for part in runs[0].result.rounds]
    for name in (*folds, "accuracy", "macro F1", "ECE", "epochs"):
        table.add_column(name, justify="right")
    table.add_column("difference", justify="right")
    table.add_column("p", justify="right")
    for run, test in zip(runs, [None, *tests], strict=True):
        result = run.result
        table.add_row(
            escape(run.name),
            *(f"{part.metrics.accuracy:.1%}" for part in result.rounds),
            f"{result.accuracy_mean:.1%} ± {result.accuracy_deviation:.1%}",
            f"{result.macro_f1_mean:.3f}",
            f"{result.ece_after:.3f}",
            str(result.epochs),
            "" if test is None else f"{100 * test.difference:+.1f}",
            "" if test is None else f"{test.p_value:.3f}",
        )
    return table


def comparison_in_words(first: NamedRun, second: NamedRun, test: PairedTest) -> str:
    """Say what a paired test found."""
    points = 100 * abs(test.difference)
    n_folds = len(first.result.rounds)
    if test.difference == 0:
        return f"{second.name} is as accurate as {first.name} over these {n_folds} folds."
    better = "better" if test.difference > 0 else "worse"
    found = f"{second.name} is {points:.1f} points {better} than {first.name}"
    if test.is_significant:
        return f"{found}: more than chance would do in one of twenty tries (p {test.p_value:.3f})."
    return (
        f"{found}, which may be chance (p {test.p_value:.3f}): as much as these {n_folds} folds "
        f"vary, a difference below {100 * (test.detectable or 0):.1f} points shows nothing."
    )


def metrics_table(metrics: Metrics) -> Table:
    """Show precision, recall and F1 of each label."""
    table = Table(title=f"accuracy {metrics.accuracy:.4f}, macro F1 {metrics.macro_f1:.4f}")
    table.add_column("label")
    for name in ("clips", "precision", "recall", "F1"):
        table.add_column(name, justify="right")
    for label, m in metrics.by_label.items():
        table.add_row(
            escape(label), str(m.clips), f"{m.precision:.3f}", f"{m.recall:.3f}", f"{m.f1:.3f}"
        )
    return table


def recipe_table(recipes: Sequence[Described]) -> Table:
    """Show the recipes that come with Hark."""
    table = Table(title="recipes", show_lines=True)
    table.add_column("name", no_wrap=True)
    for name in ("what it is", "source", "published"):
        table.add_column(name, overflow="fold")
    for recipe in recipes:
        table.add_row(*map(escape, (recipe.name, recipe.summary, recipe.source, recipe.published)))
    return table


def ablation_table(arms: Sequence[Arm]) -> Table:
    """Show what each arm of an ablation gave; the first is without augmentation, the last with all.

    Differences are in points of accuracy.
    """
    table = Table(title="augmentation", caption=escape(arms[0].result.protocol))
    table.add_column("with")
    for name in ("accuracy", "from none", "from all", "macro F1"):
        table.add_column(name, justify="right")
    none, whole = (arm.result.accuracy_mean for arm in (arms[0], arms[-1]))
    for arm in arms:
        mean, deviation = arm.result.accuracy_mean, arm.result.accuracy_deviation
        table.add_row(
            escape(arm.name),
            f"{mean:.4f} ± {deviation:.4f}",
            f"{100 * (mean - none):+.1f}",
            f"{100 * (mean - whole):+.1f}",
            f"{arm.result.macro_f1_mean:.4f}",
        )
    return table


def ablation_by_label_table(arms: Sequence[Arm]) -> Table:
    """Show how many of each label's clips each arm recognises more than the first, in points."""
    table = Table(title="by label: points more of its clips than without augmentation")
    table.add_column("label")
    table.add_column(escape(arms[0].name), justify="right")
    for arm in arms[1:]:
        table.add_column(escape(arm.name), justify="right", overflow="fold")
    for label, recall in arms[0].by_label.items():
        gains = (f"{100 * (arm.by_label[label] - recall):+.1f}" for arm in arms[1:])
        table.add_row(escape(label), f"{recall:.3f}", *gains)
    return table


def trial_in_words(trial: Trial) -> str:
    """Say on one line what a trial of a sweep came to."""
    values = ", ".join(f"{field}={_short(text)}" for field, text in trial.values.items())
    if trial.accuracy is None:
        return f"trial {trial.number}: {values}: refused: {trial.reason}"
    n_rounds = len(trial.epochs)
    ended = f" (ended early, after {n_rounds} fold{'s' if n_rounds > 1 else ''})"
    shown = f"trial {trial.number}: {values}: {trial.accuracy:.4f}"
    return shown + ended if trial.state == "pruned" else shown


def sweep_table(trials: Sequence[Trial]) -> Table:
    """Show the best trials of a sweep, of those that were fitted to the end."""
    complete = [trial for trial in trials if trial.state == "complete"]
    complete.sort(key=lambda trial: trial.accuracy or 0.0, reverse=True)
    counts = Counter(trial.state for trial in trials)
    caption = (
        f"{len(trials)} trials: {counts['complete']} fitted, {counts['pruned']} ended early, "
        f"{counts['refused']} refused"
    )
    table = Table(title="best on validation parts", caption=caption)
    table.add_column("trial", justify="right")
    table.add_column("accuracy", justify="right")
    table.add_column("epochs", justify="right")
    for field in complete[0].values if complete else ():
        table.add_column(escape(field.rpartition(".")[2]), justify="right", overflow="fold")
    for trial in complete[:_N_BEST]:
        values = (escape(_short(text)) for text in trial.values.values())
        epochs = " ".join(map(str, trial.epochs))
        table.add_row(str(trial.number), f"{trial.accuracy:.4f}", epochs, *values)
    return table


def importance_table(importances: Mapping[str, float]) -> Table:
    """Show each field's share in what made a sweep's trials differ."""
    table = Table(title="what made the difference")
    table.add_column("field")
    table.add_column("share", justify="right")
    for field, share in sorted(importances.items(), key=lambda item: -item[1]):
        table.add_row(escape(field), f"{share:.0%}")
    return table


def optimism_in_words(n_trials: int, best: str, data: Path) -> str:
    """Say what the best of several accuracies is worth, and how to get an honest figure."""
    return (
        f"The best of {n_trials} validation accuracies is optimistic: it was chosen among them. "
        f"The cross-validated figure is given by: hark-train cross-validate {best} --data "
        f"{shlex.quote(str(data))} (its test folds that --folds kept from the sweep are unspoilt)"
    )


def _short(text: str) -> str:
    """Return a number in four digits; whole ones, and words, as they are."""
    try:
        return text if text.lstrip("-").isdecimal() else f"{float(text):.4g}"
    except ValueError:
        return text
