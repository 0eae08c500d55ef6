"""docs/scaling.md: its sums are right, and are those that the manifests have."""

import math
import re
import shutil
from typing import Final

import pytest
import yaml

from benchmarks.demand import measure
from tests.contract.interpreter import ROOT

DOCUMENT: Final = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")
AT: Final = 0.7  # of the processors, as the autoscaler keeps them
PROCESSORS: Final = 2


def table(first_cell: str) -> list[list[str]]:
    """The cells of the table whose heading begins so, the heading's first, without the rule."""
    lines = DOCUMENT.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"| {first_cell} |"))
    rows = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return [rows[0], *rows[2:]]


def measured() -> dict[tuple[str, int, str], tuple[float, float, float, float]]:
    """Requests a second, H, C (ms) and memory (MB), by engine, compute processes and clip."""
    return {
        (engine, int(workers), clip): (float(rate), float(http), float(compute), float(memory))
        for engine, workers, clip, rate, http, compute, memory, _ in table("engine")[1:]
    }


def test_what_the_model_says_is_what_it_says() -> None:
    for engine, workers, clip, rate, *_, said in table("engine")[1:]:
        _, http, compute, _ = measured()[engine, int(workers), clip]
        expected = min(int(workers) / compute, PROCESSORS / (http + compute), 1 / http) * 1e3
        assert int(said.split()[0]) == round(expected)
        assert float(rate) <= expected * 1.01
        if clip == "MP3":
            assert float(rate) == pytest.approx(expected, rel=0.05)


def test_the_replicas_are_what_the_formula_gives() -> None:
    heading, *rows = table("engine, clip")
    loads = [int(cell.removesuffix("/s").replace(" ", "")) for cell in heading[2:]]
    assert len(rows) == 4
    for name, said, *replicas in rows:
        engine, clip = name.split(", ")
        _, http, compute, _ = measured()[engine, 2, clip]
        one = AT * PROCESSORS / (http + compute) * 1e3
        assert int(said) == round(one)
        assert [int(cell) for cell in replicas] == [max(2, math.ceil(load / one)) for load in loads]


def test_the_memory_is_linear_and_as_measured() -> None:
    formula = dict(re.findall(r"^(onnx|keras): +(\d+ MB \+ +\d+) MB", DOCUMENT, re.MULTILINE))
    assert set(formula) == {"onnx", "keras"}
    for engine, terms in formula.items():
        base, each = (int(number) for number in re.findall(r"\d+", terms))
        for workers in (1, 2):
            for clip in ("WAV", "MP3"):
                memory = measured()[engine, workers, clip][3]
                assert base + each * workers == pytest.approx(memory, rel=0.02)


@pytest.mark.parametrize(("engine", "column"), [("onnx", 1), ("keras", 2)])
def test_the_memory_of_a_pod_is_summed_up_and_is_the_manifests(engine: str, column: int) -> None:
    name = next(row for row in DOCUMENT.splitlines() if row.startswith("| w = 2,"))
    rows = {row[0]: row[column] for row in table(name.split("|")[1].strip())[1:]}
    *parts, total = [int(cell) for cell in list(rows.values())[:4]]
    assert sum(parts) == total
    limit, request = (
        re.fullmatch(r"(\d+) \((\d+)Mi\)", cell).groups()  # type: ignore[union-attr]
        for cell in list(rows.values())[4:]
    )
    for megabytes, mebibytes in (limit, request):
        assert int(megabytes) == round(int(mebibytes) * 2**20 / 1e6)
    assert total < int(limit[0])
    overlay = ROOT / "deploy" / "kubernetes" / "overlays" / engine / "kustomization.yaml"
    (patch,) = yaml.safe_load(overlay.read_text())["patches"]
    (operation,) = yaml.safe_load(patch["patch"])
    resources = operation["value"]
    assert resources["limits"] == {"cpu": str(PROCESSORS), "memory": f"{limit[1]}Mi"}
    assert resources["requests"] == {"cpu": str(PROCESSORS), "memory": f"{request[1]}Mi"}


@pytest.mark.alone
@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
def test_what_a_request_costs_is_measured() -> None:
    wav, mp3 = measure("onnx", workers=1, seconds=1)
    assert (wav.container, mp3.container) == ("wav", "mp3")
    for demand in (wav, mp3):
        assert demand.http_milliseconds > 0
        assert demand.compute_milliseconds > demand.http_milliseconds / 2
        assert 50 < demand.memory_megabytes < 1000
    assert mp3.compute_milliseconds > wav.compute_milliseconds
