"""The benchmark, in little: that it measures, compares and reports; not what it measures."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.clips import clip
from benchmarks.contenders import CONTENDERS, KERAS_ENVIRONMENT, ONNX_ENVIRONMENT
from benchmarks.recipe_rows import ROWS, merged, table
from benchmarks.report import write_report
from tests.contract.interpreter import ROOT


@pytest.mark.parametrize(("container", "kilobytes"), [("wav", 706), ("mp3", 37)])
def test_the_clip_is_what_the_tables_say(container: str, kilobytes: int) -> None:
    assert len(clip(container)) / 1000 == pytest.approx(kilobytes, abs=1)


def test_the_last_run_is_the_one_that_is_reported(tmp_path: Path) -> None:
    folder = ROOT / "benchmarks" / "results"
    results = json.loads((folder / "results.json").read_text())
    assert write_report(results, tmp_path) == (folder / "results.md").read_text(encoding="utf-8")
    assert (tmp_path / "results.png").stat().st_size > 10_000
    assert set(results["contenders"]) == set(CONTENDERS)
    assert results["skipped"] == {}


def test_the_recipes_table_is_made_of_the_rows_that_are_kept() -> None:
    rows = json.loads(ROWS.read_bytes())
    assert table(rows) in (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
    assert merged(rows, []) == rows


def test_a_new_run_of_a_recipe_takes_the_place_of_the_last_one_on_the_same_data() -> None:
    rows = json.loads(ROWS.read_bytes())
    new = {**rows[0], "accuracy_mean": 0.5}
    other = {**rows[0], "data": "another set"}
    assert merged(rows, [new, other]) == [new, *rows[1:], other]


@pytest.mark.slow  # a minute and a half on a machine that does nothing else
@pytest.mark.skipif(
    shutil.which("wrk") is None or not ONNX_ENVIRONMENT.exists(),
    reason="wrk, or the environment without TensorFlow, is not installed",
)
def test_a_short_run_measures_who_is_there_and_names_who_is_not(tmp_path: Path) -> None:
    chosen = ["hark-onnx", "tutorial"]
    missing = [] if KERAS_ENVIRONMENT.exists() else ["hark-keras"]
    command = [
        *(sys.executable, "-m", "benchmarks.bench", "--seconds", "1", "--connections", "1,2"),
        *("--lengths", "4,60", "--contenders", ",".join([*missing, *chosen])),
        *("--out", str(tmp_path)),
    ]
    finished = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert finished.returncode == 0, finished.stderr
    results = json.loads((tmp_path / "results.json").read_text())
    assert list(results["contenders"]) == chosen
    assert len(results["skipped"]) == len(missing)
    hark, tutorial = (results["contenders"][key]["loads"]["wav/2"] for key in chosen)
    assert hark["requests_per_second"] > 3 * tutorial["requests_per_second"]
    assert "Hark, onnx / the FastAPI tutorial" in finished.stdout
    assert [row["audio_seconds"] for row in results["growth"]["Hark, onnx"]] == [4, 60]
