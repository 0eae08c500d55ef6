"""Looks: the colours of figures on light and on dark paper, and figures as bytes."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import matplotlib as mpl
from matplotlib.figure import Figure

# Colours on light paper, and what stands for them on dark: C0, which is training and what is right,
# C1, which is validation; text; lines that matter less.
TRAINING_COLOUR: Final = "#1f6f8b"
VALIDATION_COLOUR: Final = "#d1495b"
_INK: Final = "#3a4443"
_FAINT: Final = "#b9bfb9"
_ON_DARK: Final = {
    TRAINING_COLOUR: "#6cc5e0",
    VALIDATION_COLOUR: "#ff8f9c",
    _INK: "#c9d3d3",
    _FAINT: "#55626a",
}
# A spectrogram lies on dark paper in both looks: its colours begin at black.
SPECTROGRAM_PAPER: Final = "#12171c"
SPECTROGRAM_INK: Final = "#d5dddd"


@contextmanager
def colours() -> Iterator[None]:
    """Have figures that are made and saved meanwhile take our colours."""
    ink = dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), _INK)
    lines = dict.fromkeys(("axes.edgecolor", "grid.color"), _FAINT)
    cycle = f"cycler(color={[TRAINING_COLOUR, VALIDATION_COLOUR]})"
    with mpl.rc_context({"font.size": 9, "axes.prop_cycle": cycle, **ink, **lines}):
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


def on_dark(drawn: bytes) -> bytes:
    """Return an SVG that `svg` made with the colours for dark paper: it is drawn once for both."""
    for light, dark in _ON_DARK.items():
        drawn = drawn.replace(light.encode(), dark.encode())
    return drawn


def webp(figure: Figure) -> bytes:
    """Return a figure as WebP: a tenth of a PNG's bytes where the picture is of noise."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="webp", dpi=190, pil_kwargs={"quality": 72})
    return buffer.getvalue()
