"""Looks: the colours of figures on light and on dark paper, and figures as bytes."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import matplotlib as mpl
from matplotlib.figure import Figure

# What figures draw with: C0 for training and what is right, C1 for validation.
_SERIES: Final = {False: ["#1f6f8b", "#d1495b"], True: ["#6cc5e0", "#ff8f9c"]}
_INK: Final = {False: "#3a4443", True: "#c9d3d3"}
_FAINT: Final = {False: "#b9bfb9", True: "#55626a"}
# A spectrogram lies on dark paper in both looks: its colours begin at black.
SPECTROGRAM_PAPER: Final = "#12171c"
SPECTROGRAM_INK: Final = "#d5dddd"


@contextmanager
def look(*, dark: bool = False) -> Iterator[None]:
    """Have figures that are made and saved meanwhile take the colours of light or dark paper."""
    ink = _INK[dark]
    colours = {
        **dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), ink),
        "axes.edgecolor": _FAINT[dark],
        "grid.color": _FAINT[dark],
        "axes.prop_cycle": f"cycler(color={_SERIES[dark]})",
    }
    with mpl.rc_context({"font.size": 9, **colours}):
        yield


def svg(figure: Figure) -> bytes:
    """Return a figure as SVG without paper, its text as text: the same figure, the same bytes."""
    buffer = io.BytesIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "hark"}):
        figure.savefig(
            buffer,
            format="svg",
            transparent=True,
            metadata={"Date": None, "Creator": None},
        )
    return buffer.getvalue()


def webp(figure: Figure) -> bytes:
    """Return a figure as WebP: a tenth of a PNG's bytes where the picture is of noise."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="webp", dpi=150, pil_kwargs={"quality": 72, "method": 6})
    return buffer.getvalue()
