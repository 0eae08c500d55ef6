"""The report: one table, the ratios against the targets, and a plot, from one run's figures."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

Results = Mapping[str, Any]

HARK: Final = ("hark-keras", "hark-onnx")


def write_report(results: Results, folder: Path) -> str:
    """Write `results.md` and `results.png` into a folder, and return the former's text."""
    text = "\n".join(_lines(results)) + "\n"
    (folder / "results.md").write_text(text, encoding="utf-8")
    _plot(results, folder / "results.png")
    return text


def _lines(results: Results) -> Iterator[str]:
    contenders = results["contenders"]
    yield f"{results['machine']}; {results['plan']['seconds']:g} s a figure; {results['date']}."
    yield ""
    for container, title in (("wav", "WAV, 706 kB"), ("mp3", "MP3, 37 kB")):
        yield f"### {title}"
        yield ""
        yield from _table(contenders, results["limit"], container, results["plan"]["connections"])
        yield ""
    if results["skipped"]:
        yield "Skipped: " + "; ".join(f"{name}: {why}" for name, why in results["skipped"].items())
        yield ""
    yield "### Ratios"
    yield ""
    yield from _ratios(results)
    yield ""
    yield "### The front end alone"
    yield ""
    yield "| milliseconds for four seconds of 44.1 kHz stereo | Hark | librosa's own calls |"
    yield "|---|---|---|"
    front_end = results["front_end"]
    for name, suffix in (("decoded samples to MFCCs", ""), ("WAV bytes to MFCCs", "_from_bytes")):
        yield f"| {name} | {front_end['hark' + suffix]:.2f} | {front_end['librosa' + suffix]:.2f} |"
    for engine, rows in results["growth"].items():
        yield ""
        yield f"### Growth: stereo MP3, one worker, one connection, {engine}"
        yield ""
        yield "| audio (s) | request (s) | memory (MB) |"
        yield "|---|---|---|"
        for row in rows:
            yield (
                f"| {row['audio_seconds']:g} | {row['request_seconds']:.3f} "
                f"| {row['memory_megabytes']:.0f} |"
            )


def _table(
    contenders: Results, limit: Results, container: str, connections: Sequence[int]
) -> Iterator[str]:
    heads = [f"{n} conn.: req/s (p50, p99 ms)" for n in connections]
    yield f"| service | {' | '.join(heads)} | memory (MB) | first answer (s) |"
    yield "|---|" + "---|" * (len(heads) + 2)
    for row in contenders.values():
        loads = [row["loads"][f"{container}/{n}"] for n in connections]
        cells = [
            f"{load['requests_per_second']:.0f} "
            f"({load['p50_milliseconds']:.1f}, {load['p99_milliseconds']:.1f})"
            for load in loads
        ]
        memory, start = row["memory_megabytes"], row["start_seconds"]
        yield f"| {row['name']} | {' | '.join(cells)} | {memory:.0f} | {start:.1f} |"
    for engine, rates in limit.items():
        empty = " | ".join([""] * (len(connections) - 1))
        yield f"| the limit, {engine}: no HTTP | {rates[container]:.0f} clips/s | {empty} | | |"


def _ratios(results: Results) -> Iterator[str]:
    contenders, limit = results["contenders"], results["limit"]
    connections = [n for n in results["plan"]["connections"] if n > 1]
    yield (
        "| requests/s, as a ratio | "
        + " | ".join(f"{container}, {n} conn." for container in ("wav", "mp3") for n in connections)
        + " |"
    )
    yield "|---|" + "---|" * (2 * len(connections))
    groups = {
        "the best model server as documented": [k for k, v in contenders.items() if v["peer"]],
        "the best model server, tuned": [k for k, v in contenders.items() if v["tuned"]],
        "the FastAPI tutorial": [key for key in contenders if key == "tutorial"],
    }
    for hark in [key for key in HARK if key in contenders]:
        for title, others in groups.items():
            if others:
                cells = [
                    f"{_rate(contenders[hark], load) / _best_rate(contenders, others, load):.1f}"
                    for load in _loads(connections)
                ]
                yield f"| {contenders[hark]['name']} / {title} | {' | '.join(cells)} |"
        engine = hark.removeprefix("hark-")
        if engine in limit:
            cells = [
                f"{_rate(contenders[hark], load) / limit[engine][load.partition('/')[0]]:.2f}"
                for load in _loads(connections)
            ]
            yield f"| {contenders[hark]['name']} / its limit | {' | '.join(cells)} |"


def _loads(connections: Sequence[int]) -> list[str]:
    return [f"{container}/{n}" for container in ("wav", "mp3") for n in connections]


def _rate(contender: Results, load: str) -> float:
    rate: float = contender["loads"][load]["requests_per_second"]
    return rate


def _best_rate(contenders: Results, keys: Sequence[str], load: str) -> float:
    return max(_rate(contenders[key], load) for key in keys)


def _plot(results: Results, path: Path) -> None:
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    contenders = list(results["contenders"].values())
    most = max(results["plan"]["connections"])
    loads = [load for load in ("wav/8", "mp3/8", f"wav/{most}") if load in contenders[0]["loads"]]
    figure, axes = plt.subplots(
        1, len(loads), figsize=(4.6 * len(loads), 0.5 * len(contenders) + 1.4), sharey=True,
        squeeze=False, layout="constrained",
    )  # fmt: skip
    for axis, load in zip(axes[0], loads, strict=True):
        rates = [_rate(contender, load) for contender in contenders]
        colours = ["#0b7285" if c["name"].startswith("Hark") else "#adb5bd" for c in contenders]
        bars = axis.barh([contender["name"] for contender in contenders], rates, color=colours)
        axis.bar_label(bars, fmt="%.0f", padding=3)
        container, _, connections = load.partition("/")
        axis.set_title(f"{container.upper()}, {connections} connections")
        axis.set_xlabel("requests per second")
        axis.margins(x=0.15)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0][0].invert_yaxis()
    figure.savefig(path, dpi=110)
    plt.close(figure)
