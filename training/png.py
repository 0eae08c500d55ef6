"""Figures as PNG files."""

from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure


def save_png(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, without a date in it: the same run gives the same bytes."""
    with mpl.rc_context({"font.size": 9}):
        figure.savefig(path, dpi=120, metadata={"Software": None})
