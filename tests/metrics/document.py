"""Writes the tables of docs/metrics.md, from the definitions in the code.

python -m tests.metrics.document
"""

from pathlib import Path
from typing import Final

from app.metrics.definitions import (
    GROUPS,
    REJECTION_REASONS,
    RELOAD_OUTCOMES,
    RESTART_CAUSES,
    STAGES,
    Definition,
)
from app.metrics.drift import DISTRIBUTIONS
from app.metrics.inputs import CHANNELS, FORMATS, SAMPLE_RATES
from app.metrics.processes import COMPUTE, HTTP

DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "metrics.md"

_BEGIN: Final = "<!-- tables: written by `python -m tests.metrics.document` -->\n"
_END: Final = "<!-- end of tables -->\n"


def _values() -> dict[str, str]:
    """Say what each label can be."""
    return {
        "method": "HTTP's methods, `other` for what is none",
        "route": "the route's template, as `/v1/models/{name}/classify`; `unmatched` where there "
        "is none, `refused` where an upload was turned away before its body",
        "status": "the answer's HTTP status",
        "code": "a problem's code ([api.md](api.md)), empty where there was none; for "
        "`hark_streams_total` WebSocket's close code, or `other`",
        "reason": _listed(REJECTION_REASONS) + ": problems' codes",
        "stage": _listed(STAGES) + ", see below",
        "cause": _listed(RESTART_CAUSES) + ": it ended by itself or was killed; was ended since "
        "it overran a deadline; ended since it may not have more memory; sent what is no answer; "
        "could not load a model",
        "version": "of a model: its number; of `hark_build_info`: Hark's release",
        "engine": "`keras` or `onnx`",
        "model": "a name in the store",
        "role": "`stable` or `canary`",
        "outcome": _listed(RELOAD_OUTCOMES),
        "label": "one of the version's labels; `other` for what it does not know",
        "distribution": _listed(DISTRIBUTIONS) + ", see below",
        "format": _listed(FORMATS) + " (a window of a live stream is `live`)",
        "sample_rate": _listed(SAMPLE_RATES) + ", in Hz",
        "channels": _listed(CHANNELS),
        "process": _listed((HTTP, COMPUTE)) + ": all compute processes together",
    }


def _listed(values: tuple[str, ...]) -> str:
    return ", ".join(f"`{value}`" for value in values)


def _row(metric: Definition) -> str:
    name = f"{metric.name}_total" if metric.kind == "counter" else metric.name
    return f"| `{name}` | {metric.kind} | {_listed(metric.labels)} | {metric.help} |"


def composed() -> str:
    """Return the document, with its tables as the code has them."""
    head, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(_BEGIN)
    tail = rest.partition(_END)[2]
    return f"{head}{_BEGIN}\n{_tables()}\n{_END}{tail}"


def _tables() -> str:
    values = _values()
    used = {label for group in GROUPS for metric in group.metrics for label in metric.labels}
    if used != set(values):
        raise ValueError(f"labels without words, or words without labels: {used ^ set(values)}")
    lines = []
    for group in GROUPS:
        lines += [f"## {group.title}", "", "| metric | type | labels | what |", "|---|---|---|---|"]
        lines += [*map(_row, group.metrics), ""]
    lines += ["## Labels", "", "| label | values |", "|---|---|"]
    lines += [f"| `{label}` | {words} |" for label, words in values.items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    DOCUMENT.write_text(composed(), encoding="utf-8")
