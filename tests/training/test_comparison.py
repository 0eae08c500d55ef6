"""Comparison: figures side by side, and a test over folds that is right where others are."""

import json
from pathlib import Path

import pytest
from scipy import stats

from tests.tiny_model import TinyModel, run_hark_train
from training.comparison import NamedRun, check_comparable, corrected_t_test, load_run
from training.recipe_error import RecipeError

FIRST, SECOND = [0.61, 0.58, 0.66, 0.70], [0.64, 0.60, 0.71, 0.69]


def test_without_a_correction_it_is_scipy_s_paired_t_test() -> None:
    test = corrected_t_test(FIRST, SECOND, test_to_train=0)
    assert test.p_value == pytest.approx(stats.ttest_rel(FIRST, SECOND).pvalue)
    assert test.difference == pytest.approx(0.0225)


def test_the_correction_makes_it_more_careful() -> None:
    plain = corrected_t_test(FIRST, SECOND, test_to_train=0)
    corrected = corrected_t_test(FIRST, SECOND, test_to_train=1 / 3)
    assert corrected.p_value > plain.p_value
    # sqrt(1/4 + 1/3) instead of sqrt(1/4).
    assert corrected.detectable == pytest.approx((plain.detectable or 0) * (7 / 3) ** 0.5)


def test_the_detectable_difference_is_where_p_is_one_in_twenty() -> None:
    detectable = corrected_t_test(FIRST, SECOND, test_to_train=1 / 3).detectable
    assert detectable is not None
    raised = [value + detectable - 0.0225 for value in SECOND]
    assert corrected_t_test(FIRST, raised, test_to_train=1 / 3).p_value == pytest.approx(0.05)


@pytest.mark.parametrize(("second", "p_value"), [([0.5, 0.25], 1.0), ([0.75, 0.5], 0.0)])
def test_differences_that_do_not_vary_are_tested_too(second: list[float], p_value: float) -> None:
    test = corrected_t_test([0.5, 0.25], second, test_to_train=1)
    assert (test.p_value, test.detectable) == (p_value, None)


def test_one_clip_more_on_each_fold_is_no_certainty() -> None:
    first = [60 / 80, 62 / 80, 63 / 80, 61 / 80]
    second = [accuracy + 1 / 80 for accuracy in first]
    assert corrected_t_test(first, second, test_to_train=1 / 3).p_value < 1e-9
    test = corrected_t_test(first, second, test_to_train=1 / 3, least_deviation=1 / 80)
    assert test.p_value > 0.2
    assert test.detectable is not None
    assert test.detectable > 1 / 80


@pytest.fixture
def runs(tiny: TinyModel, tmp_path: Path) -> tuple[Path, Path]:
    """The tiny model's own run, and the same with less accuracy on each fold."""
    metrics = json.loads((tiny.version / "metrics.json").read_bytes())
    for place, part in enumerate(metrics["rounds"]):
        part["metrics"]["accuracy"] -= 0.3 + 0.01 * place
    metrics["accuracy_mean"] -= 0.31
    metrics["warning"] = "Random split, of a test."
    for name in ("worse", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "metrics.json").write_text(json.dumps(metrics))
        metrics["rounds"] = metrics["rounds"][:2]
    return tmp_path / "worse", tmp_path / "other"


def test_runs_and_versions_are_compared(tiny: TinyModel, runs: tuple[Path, Path]) -> None:
    finished = run_hark_train("compare", "tiny@1", str(runs[0]), "--store", str(tiny.store))
    assert finished.returncode == 0, finished.stderr
    assert "31.0 points worse than tiny@1: more than chance would do" in finished.stdout
    assert "-31.0" in finished.stdout
    assert finished.stderr == "Random split, of a test.\n"


def test_a_run_is_as_good_as_itself(tiny: TinyModel) -> None:
    finished = run_hark_train("compare", "tiny", "tiny@1", "--store", str(tiny.store))
    assert "tiny@1 is as accurate as tiny over these 3 folds." in finished.stdout


def test_other_folds_cannot_be_compared(tiny: TinyModel, runs: tuple[Path, Path]) -> None:
    named = [load_run("tiny", tiny.store), load_run(str(runs[1]), tiny.store)]
    with pytest.raises(RecipeError, match="were not tested on the same folds of the same data"):
        check_comparable(named)


def test_folds_of_other_clips_cannot_be_compared(tiny: TinyModel) -> None:
    """Another seed's random split has the same names and numbers; a file of old tells no more."""
    first = load_run("tiny", tiny.store)
    assert first.result.split is not None
    of_old, of_another_seed = (
        NamedRun(name, first.result.model_copy(update={"split": split}))
        for name, split in (("old", None), ("other", "0" * 64))
    )
    check_comparable([first, of_old, first])
    with pytest.raises(RecipeError, match=r"tiny and other .* the folds hold other clips"):
        check_comparable([first, of_old, of_another_seed])


def test_a_folder_without_figures_is_told(tiny: TinyModel, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"has no metrics\.json: give a folder"):
        load_run(str(tmp_path), tiny.store)


def test_figures_of_another_kind_are_told(tiny: TinyModel, tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text('{"protocol": "none"}')
    with pytest.raises(RecipeError, match="holds no figures that this release reads"):
        load_run(str(tmp_path), tiny.store)


@pytest.mark.parametrize(
    ("runs_given", "complaint"),
    [(["tiny"], "two runs or more are needed"), (["tiny", "no"], "There is no model 'no'")],
    ids=["one", "unknown"],
)
def test_a_mistake_is_one_sentence(tiny: TinyModel, runs_given: list[str], complaint: str) -> None:
    finished = run_hark_train("compare", *runs_given, "--store", str(tiny.store))
    assert finished.returncode == 1
    assert complaint in " ".join(finished.stderr.split())
    assert "Traceback" not in finished.stderr
