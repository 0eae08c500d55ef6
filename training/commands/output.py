"""What commands print: results to standard output, everything else to standard error."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.console import Console

from training import tables

if TYPE_CHECKING:
    from training.evaluate import Metrics
    from training.features_cache import UnreadableClip
    from training.results import CrossValidation

console: Final = Console()
complaints: Final = Console(stderr=True)


def say(sentence: str) -> None:
    """Print a result in one piece, whatever the terminal's width: paths in it can be copied."""
    console.print(sentence, markup=False, soft_wrap=True)


def complain(sentence: str) -> None:
    """Tell a person what went wrong, in one piece too."""
    complaints.print(f"hark-train: {sentence}", highlight=False, markup=False, soft_wrap=True)


def print_unreadable(clips: "Sequence[UnreadableClip]") -> None:
    """Print which clips were left out, if any."""
    if clips:
        complaints.print(tables.unreadable_table(clips))


def print_cross_validation(result: "CrossValidation") -> None:
    """Print how a cross-validation went, and what is to be kept in mind."""
    console.print(tables.cross_validation_table(result))
    print_warning(result.warning)


def print_warning(warning: str | None) -> None:
    """Print what is to be known of the figures, if anything."""
    if warning:
        complaints.print(f"[yellow]{warning}[/yellow]")


def print_metrics(metrics: "Metrics") -> None:
    """Print figures over all test clips."""
    console.print(tables.metrics_table(metrics))
    if metrics.by_salience:
        console.print(tables.salience_table(metrics))


def print_report(page: Path) -> None:
    """Print where a run's page is."""
    say(f"Report: {page}, with metrics and plots")
