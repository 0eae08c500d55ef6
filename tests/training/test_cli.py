"""`hark-train`: what each command prints and writes, and one sentence for each mistake.

Most run the command's own `main` in this process, which has TensorFlow imported already; what is
said of a fresh process is tested in one.
"""

import gc
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.tiny_model import (
    LABELS,
    NAME,
    RECIPE,
    SAVING_WARNS,
    TinyModel,
    run_hark_train,
    sound,
    wav,
    write_data,
)
from training import cli
from training.recipe import recipe_names

pytestmark = SAVING_WARNS

PNG = b"\x89PNG\r\n\x1a\n"
HEAVY = ("tensorflow", "keras", "sklearn", "matplotlib", "librosa")


@dataclass(frozen=True, slots=True)
class Finished:
    """What a command left: its exit status and what it printed, and the latter on one line."""

    status: int
    output: str
    complaints: str

    @property
    def complaint(self) -> str:
        """Standard error without the breaks where a terminal's line ends."""
        return " ".join(self.complaints.split())


class HarkTrain:
    """Runs the command's entry point in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, *arguments: str | Path) -> Finished:
        gc.collect()  # a run's folder is locked until its process ends, or nobody holds it
        self._capsys.readouterr()
        self._monkeypatch.setattr(sys, "argv", ["hark-train", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        status = ended.value.code or 0
        assert isinstance(status, int)
        printed = self._capsys.readouterr()
        return Finished(status, printed.out, printed.err)


@pytest.fixture
def hark_train(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> HarkTrain:
    return HarkTrain(monkeypatch, capsys)


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> TinyModel:
    """The tiny model's data and recipe, without the model; one of the files is no audio."""
    data = TinyModel(tmp_path_factory.mktemp("sounds"))
    write_data(data)
    return data


RUN_AND_LIST_IMPORTS = """
import sys
from training.cli import main
try:
    main()
finally:
    print("imported:", *sorted(sys.modules.keys() & set({heavy})), file=sys.stderr)
"""


def run_in_a_fresh_process(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a command, and have it tell on standard error what it imported that is slow."""
    script = RUN_AND_LIST_IMPORTS.format(heavy=HEAVY)
    return subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=False
    )


def test_help_imports_nothing_heavy() -> None:
    finished = run_in_a_fresh_process("--help")
    assert (finished.returncode, finished.stderr) == (0, "imported:\n")
    for command in ("inspect", "fit", "cross-validate", "evaluate", "recipes"):
        assert f" {command} " in finished.stdout


def test_an_argument_that_no_manifest_could_hold_is_told_at_once(
    hark_train: HarkTrain, sounds: TinyModel, tmp_path: Path
) -> None:
    """The command is part of a manifest, which is written when all is fitted."""
    out = tmp_path / os.fsdecode("résultats".encode("latin-1"))
    finished = hark_train("fit", sounds.recipe, "--data", sounds.data, "--name", "a", "--out", out)
    assert finished.status == 1
    assert "r\ufffdsultats is not UTF-8: rename" in finished.complaint


def test_inspect_does_not_import_what_trains(sounds: TinyModel, tmp_path: Path) -> None:
    finished = run_in_a_fresh_process("inspect", sounds.data, "--out", tmp_path / "audit.png")
    assert finished.returncode == 0, finished.stderr
    assert "imported: matplotlib\n" in finished.stderr


def test_the_installed_command_says_one_sentence_and_fails() -> None:
    finished = run_hark_train("inspect", "/nowhere/sounds.csv")
    assert finished.returncode == 1
    assert " ".join(finished.stderr.split()) == "hark-train: /nowhere/sounds.csv does not exist"
    assert finished.stdout == ""


def test_a_mistyped_option_is_a_usage_error(hark_train: HarkTrain) -> None:
    finished = hark_train("recipes", "--json")
    assert finished.status == 2
    assert "No such option: --json" in finished.complaint


def test_recipes_are_listed(hark_train: HarkTrain) -> None:
    finished = hark_train("recipes")
    assert finished.status == 0
    assert all(name in finished.output for name in recipe_names())


def test_inspect_draws_and_counts(hark_train: HarkTrain, sounds: TinyModel, tmp_path: Path) -> None:
    picture = tmp_path / "picture.png"
    finished = hark_train("inspect", sounds.data, "--out", picture)
    assert finished.status == 0
    assert picture.read_bytes().startswith(PNG)
    rows = {
        cells[0]: cells[1:] for line in finished.output.splitlines() if (cells := cells_of(line))
    }
    assert rows["clicks"] == rows["tone"] == ["4", "4", "4", "12"]
    assert rows["noise"] == ["4", "5", "4", "13"]
    assert rows["all"] == ["12", "13", "12", "37"]
    assert rows["sample rate"] == ["8000 Hz", "36"]
    assert "1 files cannot be used" in finished.output
    assert "broken.wav" in "".join(finished.output.split())


def cells_of(line: str) -> list[str]:
    """The cells of a line of a printed table; none where it is a border."""
    if "│" not in line:
        return []
    return [cell.strip() for cell in line.strip("│").split("│")]


def test_inspect_writes_into_the_folder_it_runs_in(
    hark_train: HarkTrain, sounds: TinyModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert hark_train("inspect", sounds.data).status == 0
    assert [path.name for path in tmp_path.iterdir()] == ["audit.png"]


@pytest.mark.parametrize("place", ["missing/audit.png", "sounds.csv/audit.png"])
def test_a_picture_that_cannot_be_written_is_told_in_one_sentence(
    hark_train: HarkTrain, sounds: TinyModel, place: str
) -> None:
    finished = hark_train("inspect", sounds.data, "--out", sounds.folder / place)
    assert finished.status == 1
    assert finished.complaints.splitlines()[-1].startswith("hark-train: ")
    assert str(sounds.folder / place) in finished.complaints
    assert "Traceback" not in finished.complaints


def test_a_strict_fit_stops_at_an_unreadable_file_with_its_reason(
    hark_train: HarkTrain, sounds: TinyModel, tmp_path: Path
) -> None:
    finished = hark_train(*sounds.fit_arguments(tmp_path / "store"), "--strict")
    assert finished.status == 1
    assert "1 files cannot be read:" in finished.complaint
    assert "not audio in a known format" in finished.complaint
    assert "Without --strict, a few such files are left out" in finished.complaint
    assert "Traceback" not in finished.complaints
    assert not (tmp_path / "store").exists()


@pytest.mark.slow
def test_a_run_whose_page_cannot_be_written_does_not_write_a_second_version(
    hark_train: HarkTrain, tiny: TinyModel, tmp_path: Path
) -> None:
    out, store = tmp_path / "out", tmp_path / "store"
    page = out / "report.html"
    page.mkdir(parents=True)  # in the way
    changed = ("--out", str(out), "--set", "training.epochs=1")
    arguments = [*tiny.fit_arguments(store), *changed]
    finished = hark_train(*arguments)
    assert finished.status == 1
    assert f"{page}: Is a directory" in finished.complaint
    page.rmdir()
    assert hark_train(*arguments, "--resume").status == 0
    assert [path.name for path in (store / NAME).iterdir()] == ["1"]
    assert f"{NAME}@1" in page.read_text(encoding="utf-8")
    assert not (out / "unfinished").exists()


@pytest.mark.parametrize("command", ["fit", "cross-validate"])
def test_folds_may_be_chosen(
    hark_train: HarkTrain, sounds: TinyModel, tmp_path: Path, command: str
) -> None:
    arguments = [command, *sounds.fit_arguments(tmp_path / "store")[1:], "--folds", "2"]
    if command == "cross-validate":
        arguments = [each for each in arguments if each not in ("--name", NAME)]
    finished = hark_train(*arguments)
    assert "sounds has 1 fold here, and two are needed" in finished.complaint


def test_a_long_path_is_printed_in_one_piece(hark_train: HarkTrain, tmp_path: Path) -> None:
    """So that it can be copied; where standard error is no terminal, a line has no end."""
    path = tmp_path / ("long" * 30)
    assert f"{path} does not exist" in hark_train("inspect", path).complaints


def test_fit_goes_on_without_unreadable_files(tiny: TinyModel) -> None:
    """As the tiny model itself was fitted."""
    metrics = json.loads((tiny.version / "metrics.json").read_bytes())
    assert metrics["together"]["clips"] == 36
    assert tiny.unreadable.exists()


@pytest.mark.parametrize("folds", ["2", "1,3"])
def test_evaluate_prints_json(hark_train: HarkTrain, tiny: TinyModel, folds: str) -> None:
    finished = hark_train(
        "evaluate", "tiny@1", "--data", tiny.data, "--store", tiny.store, "--folds", folds, "--json"
    )
    assert finished.status == 0
    metrics = json.loads(finished.output)
    assert list(metrics["by_label"]) == list(LABELS)
    assert metrics["clips"] == 12 * len(folds.split(","))
    assert metrics["accuracy"] == 1
    assert metrics["clips"] == sum(map(sum, metrics["confusion_matrix"]))


def test_evaluate_prints_tables_and_warns_of_training_data(
    hark_train: HarkTrain, tiny: TinyModel
) -> None:
    finished = hark_train("evaluate", "tiny", "--data", tiny.data, "--store", tiny.store)
    assert finished.status == 0
    assert "the figures flatter it" in finished.complaint
    assert "accuracy 1.0000, macro F1 1.0000" in " ".join(finished.output.split())
    assert "1 files cannot be used" in finished.complaints
    rows = {
        cells[0]: cells[1:] for line in finished.output.splitlines() if (cells := cells_of(line))
    }
    assert all(rows[label] == ["12", "1.000", "1.000", "1.000"] for label in LABELS)


@pytest.mark.slow
def test_a_random_split_is_marked_and_salience_is_told_apart(
    hark_train: HarkTrain, sounds: TinyModel, tmp_path: Path
) -> None:
    header, *rows = sounds.data.read_text().splitlines()
    data = sounds.data.with_name("salient.csv")
    salience = [f"{row},{'12'[place % 2]}" for place, row in enumerate(rows)]
    data.write_text("\n".join([f"{header},salience", *salience]))
    recipe = tmp_path / "hasty.toml"
    recipe.write_text(RECIPE.replace("epochs = 8", "epochs = 1"))
    out = tmp_path / "out"
    finished = hark_train(
        *("cross-validate", recipe, "--data", data, "--split", "random"),
        *("--cache", sounds.cache, "--out", out),
    )
    assert finished.status == 0, finished.complaints
    assert "Random split, though the data has official folds" in finished.complaint
    rows_printed = [cells for line in finished.output.splitlines() if (cells := cells_of(line))]
    assert {cells[0]: cells[1] for cells in rows_printed if cells[0].endswith("ground")} == {
        "foreground": "18", "background": "18",
    }  # fmt: skip
    metrics = json.loads((out / "metrics.json").read_bytes())
    assert metrics["warning"].startswith("Random split, though")
    assert metrics["together"]["by_salience"]["background"]["clips"] == 18
    page = (out / "report.html").read_text(encoding="utf-8")
    assert f'role="note"><strong>Warning.</strong> {metrics["warning"]}' in page


# Commands that cannot work, and words of the one sentence that each earns. What stands in braces
# is filled in by the test.
FIT = ["fit", "{recipe}", "--data", "{data}", "--name"]
CROSS_VALIDATE = ["cross-validate", "{recipe}", "--data", "{data}"]
EVALUATE = ["evaluate", "--data", "{data}", "--store", "{store}"]
MISTAKES: dict[str, tuple[list[str], str]] = {
    "no data to inspect": (["inspect", "{folder}/x.csv"], "x.csv does not exist"),
    "no data to fit on": ([*FIT, "x", "--data", "{folder}/x.csv"], "x.csv does not exist"),
    "no data to evaluate on": ([*EVALUATE, "tiny", "--data", "{folder}/x"], "x does not exist"),
    "unknown recipe": (["fit", "rnn", *FIT[2:], "x"], "there is no recipe 'rnn'"),
    "unknown recipe to test": (
        ["cross-validate", "rnn", "--data", "{data}"],
        "there is no recipe 'rnn'; there is: fine-tune, ",
    ),
    "recipe with a mistake": (
        ["cross-validate", "{mistaken}", "--data", "{data}"],
        "training.pateince: Extra inputs are not permitted",
    ),
    "name with capitals": ([*FIT, "Tiny"], "'Tiny' cannot be a model's name: use small letters"),
    "name with a path": ([*FIT, "../x"], "'../x' cannot be a model's name"),
    "name with a line break": ([*FIT, "x\n"], "cannot be a model's name"),
    "store that is a file": (
        [*FIT, "x", "--store", "{recipe}"],
        "no version can be written into",
    ),
    "split by groups that are not there": (
        [*CROSS_VALIDATE, "--split", "groups"],
        "sounds names no groups to split by",
    ),
    "unknown model": ([*EVALUATE, "huge"], "There is no model 'huge' here. There is: tiny."),
    "unknown version": ([*EVALUATE, "tiny@9"], "Model 'tiny' has no version 9. It has: 1."),
    "version that is no number": ([*EVALUATE, "tiny@first"], "a version is a number"),
    "unknown fold": (
        [*EVALUATE, "tiny", "--folds", "1,7"],
        "sounds has no fold 7; it has: 1, 2, 3",
    ),
    "empty store": ([*EVALUATE, "tiny", "--store", "{folder}"], "The model store is empty."),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_sentence_on_standard_error(
    hark_train: HarkTrain, sounds: TinyModel, tiny: TinyModel, tmp_path: Path, mistake: str
) -> None:
    mistaken = tmp_path / "mistaken.toml"
    mistaken.write_text(RECIPE.replace("patience", "pateince"))
    places = {"recipe": sounds.recipe, "data": sounds.data, "folder": tmp_path / "folder",
              "store": tiny.store, "mistaken": mistaken}  # fmt: skip
    arguments, expected = MISTAKES[mistake]
    finished = hark_train(*(argument.format(**places) for argument in arguments))
    assert finished.status == 1
    assert finished.complaint.startswith("hark-train: ")
    assert expected in finished.complaint
    assert "Traceback" not in finished.complaints
    assert finished.output == ""


@pytest.mark.parametrize("name", ["[old]", "[red]", "[/]", "[/old]"])
def test_brackets_in_a_path_are_printed_as_they_are(
    hark_train: HarkTrain, tmp_path: Path, name: str
) -> None:
    """Square brackets are markup to the library that prints."""
    finished = hark_train("inspect", str(tmp_path / name))
    assert finished.status == 1
    assert f"{name} does not exist" in finished.complaint


def test_brackets_in_a_label_are_printed_as_they_are(hark_train: HarkTrain, tmp_path: Path) -> None:
    for label in ("[bold]", "[/]", "plain"):
        path = tmp_path / "data" / label.replace("/", "slash") / "a.wav"
        path.parent.mkdir(parents=True)
        path.write_bytes(wav(sound("tone", seed=0)))
    finished = hark_train("inspect", tmp_path / "data", "--out", tmp_path / "audit.png")
    assert finished.status == 0
    assert "[bold]" in finished.output
    assert "[slash]" in finished.output
