"""The rows of docs/recipes.md: what each recipe did on each data set, and the table of it."""

from pathlib import Path
from typing import Any, Final

ROWS: Final = Path(__file__).parent / "results" / "recipes.json"


def merged(earlier: list[dict[str, Any]], new: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a row for each recipe and data set, the new one where there is one."""
    rows = {(row["data"], row["recipe"]): row for row in [*earlier, *new]}
    return [rows[key] for key in sorted(rows)]


def table(rows: list[dict[str, Any]]) -> str:
    """Return the runs as a table in Markdown, the best of each data set first."""
    lines = [
        "| data | recipe | folds | accuracy | macro F1 | ECE | time | parameters | ms a clip |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    ordered = sorted(rows, key=lambda row: (row["data"], -row["accuracy_mean"]))
    lines.extend(
        f"| {row['data']} | `{row['recipe']}` | {', '.join(row['folds'])} "
        f"| {row['accuracy_mean']:.1%} ± {row['accuracy_deviation']:.1%} "
        f"| {row['macro_f1_mean']:.3f} | {row['ece_after']:.3f} "
        f"| {_minutes(row)} | {row['parameters']:,} | {row['milliseconds']:.1f} |"
        for row in ordered
    )
    commands = "\n".join(row["command"] for row in rows)
    return "\n".join(lines) + f"\n\nThe commands:\n\n```sh\n{commands}\n```"


def _minutes(row: dict[str, Any]) -> str:
    # A run that was made for a version of the store, beside other work, has no time worth telling.
    return f"{row['seconds'] / 60:.0f} min" if row["seconds"] else "not timed"
