"""`hark-train`: from a folder of labelled sounds to a served model version."""

import importlib.util
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal, NoReturn

import typer
from rich.console import Console
from rich.markup import escape

from app.errors import HarkError
from app.inference.threads import compute_on_one_thread
from app.progress import show_progress
from app.ray_cluster import with_address
from app.settings import DEFAULT_MODEL_STORE
from training import tables
from training.datasets import Dataset, DatasetError, load_dataset
from training.interruption import killed_as_by_ctrl_c
from training.memory import keep_freed_memory
from training.ray_workers import cluster
from training.recipe import described_recipes, load_recipe
from training.recipe_error import RecipeError
from training.run_error import RunError
from training.search_space import read_space
from training.workers import THIS_MACHINE, Places, thread_environment

if TYPE_CHECKING:
    from training.evaluate import Metrics
    from training.features_cache import UnreadableClip
    from training.results import CrossValidation

# Everything that needs TensorFlow, scikit-learn or matplotlib is imported by the command that does:
# `--help` and a mistyped option answer at once.

application = typer.Typer(
    help="Train, test and export Hark's models.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
console: Final = Console()
complaints: Final = Console(stderr=True)

Data = Annotated[Path, typer.Option(help="The data set: a folder in a known layout, or a CSV.")]
RecipeName = Annotated[str, typer.Argument(metavar="RECIPE", help="A name, or a .toml file.")]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="FIELD=VALUE", help="Set a field: --set training.epochs=30"),
]
Split = Annotated[
    Literal["auto", "folds", "groups", "random"],
    typer.Option(help="What keeps clips together: official folds, groups, or nothing (random)."),
]
Strict = Annotated[
    bool,
    typer.Option("--strict", help="Stop where a file cannot be read, instead of leaving it out."),
]
Cache = Annotated[
    Path | None, typer.Option(help="Where features are kept; by default in the user's cache.")
]
OnlyFolds = Annotated[
    str | None, typer.Option(help="Only the clips of these folds, separated by commas.")
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with what was interrupted.")]
Store = Annotated[Path, typer.Option(help="The model store.", envvar="HARK_MODEL_STORE")]
Ray = Annotated[
    str | None,
    typer.Option(
        metavar="[ADDRESS]",
        help="Work on a Ray cluster (auto, HOST:PORT), or without an address on one started here.",
    ),
]
TensorBoard = Annotated[
    Path | None,
    typer.Option("--tensorboard", help="A folder for the curves, as TensorBoard reads."),
]
Threads = Annotated[
    int | None,
    typer.Option(min=1, help="How many threads a fit computes on; by default all processors."),
]


@application.command()
def inspect(
    dataset: Annotated[Path, typer.Argument(help="A folder in a known layout, or a CSV.")],
    out: Annotated[Path, typer.Option(help="Where the picture goes.")] = Path("audit.png"),
) -> None:
    """Show what a data set holds: labels, folds, sample rates, channels, encodings, durations."""
    from training.audit import audit, audit_figure
    from training.png import save_png

    data = load_dataset(dataset)
    with show_progress(complaints) as begin:
        result = audit(data, begin("reading headers", len(data.clips)))
    console.print(tables.label_table(result))
    console.print(tables.distribution_table(result))
    if result.unreadable:
        console.print(tables.unreadable_table(result.unreadable))
    if result.oddities():
        console.print(tables.oddity_table(result.oddities()))
    save_png(audit_figure(result), out)
    console.print(f"Picture: {out}", markup=False, soft_wrap=True)


@application.command("cross-validate")
def cross_validate_command(
    recipe: RecipeName,
    data: Data,
    changes: Changes = None,
    split: Split = "auto",
    strict: Strict = False,
    cache: Cache = None,
    out: Annotated[
        Path | None,
        typer.Option(help="A folder for the report, metrics and plots; none by default."),
    ] = None,
    store: Store = DEFAULT_MODEL_STORE,
    resume: Resume = False,
    tensorboard: TensorBoard = None,
    ray: Ray = None,
    threads: Threads = None,
) -> None:
    """Tell how well a recipe does on data that it was not fitted on."""
    _compute_on(threads)
    _check_tensorboard(tensorboard)
    from training import runs
    from training.fit_place import FitPlace
    from training.report.run_report import write_run_report

    began = datetime.now(UTC)
    with _to_be_resumed(), _places(ray, threads) as places, show_progress(complaints) as begin:
        run = runs.prepare(
            load_recipe(recipe, changes or (), store), data, split, strict, cache, begin, places
        )
        keep = runs.open_folder(run, out, resume)
        place = FitPlace(begin, keep, tensorboard)
        outcome = runs.cross_validate_run(run, place, places)
        if out is not None:
            page = write_run_report(out, run, outcome, _command_line(), began, begin)
    _print_unreadable(run.data.unreadable)
    _print_cross_validation(outcome.figures)
    _print_metrics(outcome.figures.together)
    if out is not None:
        _print_report(page)
    keep.finish()


@application.command()
def fit(
    recipe: RecipeName,
    data: Data,
    name: Annotated[str, typer.Option(help="What the model is called in the store.")],
    changes: Changes = None,
    split: Split = "auto",
    strict: Strict = False,
    cache: Cache = None,
    store: Store = DEFAULT_MODEL_STORE,
    out: Annotated[
        Path | None,
        typer.Option(help="A folder for the report, and for checkpoints meanwhile."),
    ] = None,
    resume: Resume = False,
    tensorboard: TensorBoard = None,
    ray: Ray = None,
    threads: Threads = None,
) -> None:
    """Cross-validate a recipe, fit it on all the data, and write the next version of a model."""
    _compute_on(threads)
    _check_tensorboard(tensorboard)
    from training import runs
    from training.fit_place import FitPlace
    from training.report.run_report import write_run_report

    began = datetime.now(UTC)
    runs.check_name(name)
    with _to_be_resumed(), _places(ray, threads) as places, show_progress(complaints) as begin:
        run = runs.prepare(
            load_recipe(recipe, changes or (), store), data, split, strict, cache, begin, places
        )
        keep = runs.open_folder(run, out, resume)
        place = FitPlace(begin, keep, tensorboard)
        outcome = runs.cross_validate_run(run, place, places)
        command = _command_line()
        reference = runs.fit_and_export(run, outcome.figures, name, store, command, place)
        if out is not None:
            model = str(reference)
            page = write_run_report(out, run, outcome, command, began, begin, model)
    keep.finish()
    _print_unreadable(run.data.unreadable)
    _print_cross_validation(outcome.figures)
    console.print(f"Written: {reference} in {store}", markup=False, soft_wrap=True)
    if out is not None:
        _print_report(page)


@application.command()
def evaluate(
    model: Annotated[str, typer.Argument(metavar="NAME[@VERSION]")],
    data: Data,
    folds: OnlyFolds = None,
    store: Store = DEFAULT_MODEL_STORE,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Test a version of the store on labelled files."""
    from training import runs

    dataset = _load(data, folds)
    with show_progress(complaints) as begin:
        result = runs.evaluate_version(model, dataset, store, begin)
    if as_json:
        console.print_json(result.metrics.model_dump_json())
        return
    if result.trained_on_these:
        complaints.print(
            "[yellow]These clips were among those that the model was fitted on: the figures "
            "flatter it. Its MODEL_CARD.md has those of its cross-validation.[/yellow]"
        )
    if result.unreadable:
        console.print(tables.unreadable_table(result.unreadable))
    _print_metrics(result.metrics)


@application.command()
def recipes() -> None:
    """List the recipes that come with Hark."""
    console.print(tables.recipe_table(described_recipes()))


@application.command()
def ablate(
    recipe: RecipeName,
    data: Data,
    changes: Changes = None,
    epochs: Annotated[
        int | None,
        typer.Option(min=1, help="Fit for so many epochs at most; the recipe's if none."),
    ] = None,
    folds: OnlyFolds = None,
    leave_one_out: Annotated[
        bool, typer.Option("--leave-one-out", help="Also with all changes but each.")
    ] = False,
    by_label: Annotated[
        bool, typer.Option("--by-label", help="Also what each change gives each label.")
    ] = False,
    split: Split = "auto",
    strict: Strict = False,
    cache: Cache = None,
    out: Annotated[
        Path | None, typer.Option(help="A JSON file, written anew as each result comes.")
    ] = None,
) -> None:
    """Tell what each change of a recipe's augmentation gives, alone and with the others.

    Interrupted, it goes on where it was.
    """
    from training import ablation

    taken_apart = ablation.shortened(load_recipe(recipe, changes or ()), epochs)
    dataset = _load(data, folds)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
    arms: list[ablation.Arm] = []
    with show_progress(complaints) as begin:
        run = ablation.prepare(taken_apart, dataset, split, strict, cache, begin)
        for arm in ablation.ablate(run, cache, begin, leave_one_out=leave_one_out):
            arms.append(arm)
            if out is not None:
                ablation.write_whole(out, ablation.ablation_json(taken_apart, dataset.name, arms))
    console.print(tables.ablation_table(arms))
    if by_label:
        console.print(tables.ablation_by_label_table(arms))
    if out is not None:
        console.print(f"Results: {out}", markup=False, soft_wrap=True)


@application.command()
def sweep(
    recipe: RecipeName,
    data: Data,
    search: Annotated[
        list[str],
        typer.Option(
            metavar="FIELD=LOW..HIGH[:log]|FIELD=A,B,C",
            help="A field to search: --search training.learning_rate=1e-4..1e-2:log",
        ),
    ],
    trials: Annotated[int, typer.Option(min=1, help="How many values of them to try, in all.")],
    changes: Changes = None,
    folds: OnlyFolds = None,
    seed: Annotated[int, typer.Option(help="Decides what is proposed.")] = 0,
    batch: Annotated[
        int,
        typer.Option(min=1, help="How many trials are proposed together, and fitted at once."),
    ] = 4,
    split: Split = "auto",
    strict: Strict = False,
    cache: Cache = None,
    out: Annotated[
        Path | None, typer.Option(help="A folder for trials and best.toml; by default in runs.")
    ] = None,
    store: Store = DEFAULT_MODEL_STORE,
    resume: Resume = False,
    ray: Ray = None,
    threads: Threads = None,
) -> None:
    """Search the values of a recipe's fields that do best on validation parts."""
    _compute_on(threads)
    space = read_space(search)
    from training import runs
    from training.sweep import Sweep
    from training.sweep_plan import Plan

    plan = Plan(recipe, tuple(changes or ()), space, trials, batch, seed, store)
    searched = plan.check()
    dataset = _load(data, folds)
    with _to_be_resumed(), _places(ray, threads) as places, show_progress(complaints) as begin:
        run = runs.prepare_dataset(searched, dataset, split, strict, cache, begin, places)
        found = Sweep(plan, run, dataset, out, resume)
        for trial in found.search(strict, split, cache, places, begin):
            line = tables.trial_in_words(trial)
            complaints.print(line, highlight=False, markup=False, soft_wrap=True)
    _print_unreadable(run.data.unreadable)
    found.write(_command_line())
    console.print(tables.sweep_table(found.trials))
    if importances := found.importances():
        console.print(tables.importance_table(importances))
    best = found.folder / "best.toml"
    honest = tables.optimism_in_words(len(found.trials), shlex.quote(str(best)), data)
    complaints.print(f"[yellow]{escape(honest)}[/yellow]", soft_wrap=True)
    console.print(f"Best recipe: {best}", markup=False, soft_wrap=True)


@application.command()
def compare(
    runs: Annotated[
        list[str],
        typer.Argument(metavar="A B ...", help="Folders that cross-validate wrote, or versions."),
    ],
    store: Store = DEFAULT_MODEL_STORE,
) -> None:
    """Tell which of several runs over the same folds did better, and whether it may be chance."""
    from training import comparison

    if len(runs) < 2:
        raise RecipeError("two runs or more are needed for a comparison")
    named = [comparison.load_run(name, store) for name in runs]
    comparison.check_comparable(named)
    first, *others = named
    tests = [comparison.paired_test(first.result, other.result) for other in others]
    console.print(tables.comparison_table(named, tests))
    for other, test in zip(others, tests, strict=True):
        console.print(tables.comparison_in_words(first, other, test), markup=False, soft_wrap=True)


@application.command()
def track(
    run: Annotated[
        Path, typer.Argument(help="A folder that cross-validate or fit wrote, by --out.")
    ],
    experiment: Annotated[str, typer.Option(help="MLflow's experiment.")] = "hark",
    register: Annotated[
        bool, typer.Option("--register", help="Register the version that fit wrote, too.")
    ] = False,
    store: Store = DEFAULT_MODEL_STORE,
) -> None:
    """Log a run to MLflow, whose server MLFLOW_TRACKING_URI names."""
    from training import tracking

    tracked = tracking.track(run, experiment, store, register)
    where = f"run {tracked.run_id} of experiment {tracked.experiment} at {tracked.server}"
    console.print(f"Logged: {where}", markup=False, soft_wrap=True)
    if tracked.registered is not None:
        console.print(f"Registered: {tracked.registered}", markup=False, soft_wrap=True)


def main() -> None:
    """Run the command line; a foreseen failure is one sentence and exit status 1."""
    compute_on_one_thread()
    keep_freed_memory()
    try:
        application(args=with_address(sys.argv[1:]))
    except (DatasetError, RecipeError, RunError, HarkError) as error:
        _complain(str(error))
    except OSError as error:
        _complain(f"{error.filename}: {error.strerror}" if error.filename else str(error))


def _load(data: Path, folds: str | None) -> Dataset:
    """Load a data set, or those of its folds that are named, separated by commas."""
    dataset = load_dataset(data)
    return dataset if folds is None else dataset.select_folds(folds.split(","))


def _print_unreadable(clips: "Sequence[UnreadableClip]") -> None:
    if clips:
        complaints.print(tables.unreadable_table(clips))


def _complain(sentence: str) -> NoReturn:
    # In one piece, whatever the terminal's width: a path must be one that can be copied.
    complaints.print(f"hark-train: {sentence}", highlight=False, markup=False, soft_wrap=True)
    sys.exit(1)


def _print_cross_validation(result: "CrossValidation") -> None:
    console.print(tables.cross_validation_table(result))
    if result.warning:
        complaints.print(f"[yellow]{result.warning}[/yellow]")


def _print_report(page: Path) -> None:
    console.print(f"Report: {page}, with metrics and plots", markup=False, soft_wrap=True)


def _print_metrics(metrics: "Metrics") -> None:
    console.print(tables.metrics_table(metrics))
    if metrics.by_salience:
        console.print(tables.salience_table(metrics))


@contextmanager
def _to_be_resumed() -> Iterator[None]:
    """Say how to go on, and exit with status 130, when Ctrl-C or a kill ends the work."""
    try:
        with killed_as_by_ctrl_c():
            yield
    except KeyboardInterrupt:
        command = _command_line() + ("" if "--resume" in sys.argv else " --resume")
        sentence = f"hark-train: interrupted; what is done is kept. Go on with: {command}"
        complaints.print(sentence, highlight=False, markup=False, soft_wrap=True)
        raise typer.Exit(130) from None


def _compute_on(threads: int | None) -> None:
    """Have TensorFlow, where it is not imported yet, compute on so many threads."""
    if threads is not None:
        os.environ.update(thread_environment(threads))


def _check_tensorboard(folder: Path | None) -> None:
    """Refuse curves that could not be written, before hours of work."""
    if folder is not None and importlib.util.find_spec("tensorboard") is None:
        raise RunError(
            "--tensorboard needs TensorBoard, which is not installed: pip install "
            "'hark[tensorboard]'"
        )


@contextmanager
def _places(ray: str | None, threads: int | None) -> Iterator[Places]:
    """Return who works: this machine, or a Ray cluster while the context lasts."""
    if ray is None:
        yield THIS_MACHINE
        return
    with cluster(ray, threads) as places:
        yield places


def _command_line() -> str:
    return shlex.join(["hark-train", *sys.argv[1:]])
