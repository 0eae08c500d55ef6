"""Who may import whom: what keeps the front end pure and the HTTP process light."""

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.contract.interpreter import ROOT, run_python

APP: Final = ROOT / "app"

# Imports the modules named on the command line, packages with all that is in them, and prints the
# names of all that is imported then, and traces of any work that was done.
IMPORT: Final = """
import importlib, json, os, pkgutil, sys, threading

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
WORK = ("subprocess", "os.", "socket.", "shutil.", "tempfile.")
HARMLESS = ("os.listdir", "os.scandir", "os.walk", "os.putenv", "os.unsetenv")
work = []

def watch(event, arguments):
    if event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING:
        work.append(f"wrote {arguments[0]}")
    if event.startswith(WORK) and event not in HARMLESS:
        work.append(event)

sys.addaudithook(watch)
for name in sys.argv[1:]:
    module = importlib.import_module(name)
    if hasattr(module, "__path__"):
        for found in pkgutil.walk_packages(module.__path__, name + "."):
            importlib.import_module(found.name)
try:
    os.waitpid(-1, os.WNOHANG)
    work.append("a process was started")
except ChildProcessError:
    pass
n_threads = threading.active_count()
if os.path.isdir("/proc/self/task"):
    n_threads = len(os.listdir("/proc/self/task"))
print(json.dumps({"modules": sorted(sys.modules), "n_threads": n_threads, "work": work}))
"""


def after_importing(*names: str, folder: Path = ROOT) -> dict[str, Any]:
    one_thread = {"OPENBLAS_NUM_THREADS": "1"}  # NumPy's would be taken for the application's
    output = run_python(IMPORT, *names, folder=folder, settings=one_thread)
    facts: dict[str, Any] = json.loads(output)
    return facts


def is_or_is_in(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def modules_of(package: str) -> dict[str, Path]:
    """Return the modules of a package by name, read from its folder."""
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in sorted((ROOT / package).rglob("*.py"))
    }


def imported_by(path: Path) -> Iterator[str]:
    """Yield the modules that a file imports, at its top or inside its functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import hides from these tests"
            assert node.module is not None
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """All of app imported in an empty folder: the facts, and the folder."""
    folder = tmp_path_factory.mktemp("nothing")
    return after_importing("app", folder=folder), folder


SERVICE: Final = (
    "fastapi",
    "starlette",
    "uvicorn",
    "prometheus_client",
    "app.settings",
    "app.metrics",
    "app.service",
    "app.catalogue",
    "app.reloading",
    "app.http_protocol",
    "app.api_keys",
    "app.logs",
    "app.tracing",
    "app.server",
    "app.main",
    "app.cli",
    "app.api",
)
HEAVY: Final = (
    *("tensorflow", "keras", "librosa", "numba", "scipy", "soundfile", "soxr", "sklearn", "av"),
)


def test_the_front_end_and_inference_are_pure() -> None:
    imported = set(after_importing("app.audio", "app.inference")["modules"])
    expected = {*modules_of("app/audio"), *modules_of("app/inference")}
    assert expected <= imported
    assert [name for name in imported if is_or_is_in(name, SERVICE)] == []


@pytest.mark.parametrize("package", ["app/audio", "app/inference"])
def test_no_function_of_theirs_imports_the_service_either(package: str) -> None:
    for name, path in modules_of(package).items():
        assert [other for other in imported_by(path) if is_or_is_in(other, SERVICE)] == [], name


def test_the_front_end_knows_nothing_of_inference() -> None:
    for name, path in modules_of("app/audio").items():
        above = ("app.inference", "tensorflow", "keras")
        assert [other for other in imported_by(path) if is_or_is_in(other, above)] == [], name


def test_the_http_process_is_light() -> None:
    names = ("app.main", "app.server", "app.cli")
    imported = after_importing(*names)["modules"]
    assert set(names) <= set(imported)
    assert [other for other in imported if is_or_is_in(other, HEAVY)] == []


def test_tables_need_no_service_and_load_no_library_that_they_may_not_use() -> None:
    imported = after_importing("app.bulk", "app.terminal_answers")["modules"]
    assert set(modules_of("app/bulk")) <= set(imported)
    others = ("fastapi", "starlette", "uvicorn", "app.api", "app.service", "pyarrow", *HEAVY)
    assert [other for other in imported if is_or_is_in(other, others)] == []


def test_the_whole_of_app_can_be_imported_without_tensorflow(
    everything: tuple[dict[str, Any], Path],
) -> None:
    imported = set(everything[0]["modules"])
    assert set(modules_of("app")) <= imported
    assert [name for name in imported if is_or_is_in(name, ("tensorflow", "keras"))] == []


def test_ffmpeg_is_not_loaded_before_a_file_needs_it(
    everything: tuple[dict[str, Any], Path],
) -> None:
    assert [name for name in everything[0]["modules"] if is_or_is_in(name, ("av",))] == []


def test_importing_app_does_no_work(everything: tuple[dict[str, Any], Path]) -> None:
    facts, folder = everything
    assert facts["work"] == []
    assert facts["n_threads"] == 1
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    "line",
    [
        "import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()",
        "import subprocess; subprocess.run(['true'])",
        "import multiprocessing.util as u; u.spawnv_passfds(b'/bin/true', [b'true'], [])",
        "open('left-behind', 'w').close()",
        "import socket; socket.socket().bind(('127.0.0.1', 0))",
    ],
)
def test_work_at_import_would_be_seen(line: str, tmp_path: Path) -> None:
    (tmp_path / "busy.py").write_text(line)
    facts = after_importing("busy", folder=tmp_path)
    assert facts["work"] != [] or facts["n_threads"] > 1


@pytest.mark.parametrize(("name", "path"), modules_of("app").items(), ids=modules_of("app"))
def test_app_never_imports_training_or_tests(name: str, path: Path) -> None:
    assert [other for other in imported_by(path) if is_or_is_in(other, ("training", "tests"))] == []


# Changes waveforms before the front end sees them, and computes no feature.
EFFECTS: Final = ("training.augmentation.on_waveform", "librosa.effects")


@pytest.mark.parametrize("library", ["librosa", "soxr"])
def test_the_front_end_is_written_once(library: str) -> None:
    users = {
        name
        for package in ("app", "training")
        for name, path in modules_of(package).items()
        for other in imported_by(path)
        if is_or_is_in(other, (library,)) and (name, other) != EFFECTS
    }
    assert users
    assert [name for name in users if not is_or_is_in(name, ("app.audio",))] == []


@pytest.mark.parametrize("package", ["app", "training", "tests", "samples"])
def test_no_module_is_called_utils(package: str) -> None:
    names = {part for name in modules_of(package) for part in name.split(".")}
    assert names
    assert names.isdisjoint({"utils", "util", "helpers", "misc", "common"})


def test_every_file_says_what_it_is() -> None:
    silent = [
        name
        for package in ("app", "training")
        for name, path in modules_of(package).items()
        if ast.get_docstring(ast.parse(path.read_text())) is None
    ]
    assert silent == []
