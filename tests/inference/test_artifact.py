"""Artifacts: a version that is not what was exported is refused, with its name and the reason."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.errors import (
    ArtifactError,
    CorruptArtifactError,
    ForeignArtifactError,
    IncompleteArtifactError,
    ProbeMismatchError,
)
from app.inference.artifact import Artifact, hash_files
from app.inference.classifier import Classifier
from tests.inference.damages import (
    Damage,
    array_file,
    model_of_other_features,
    model_of_two_inputs,
    model_that_runs,
    model_without_input,
    remove_folder_contents,
    remove_manifest,
    with_calibration,
    with_file,
    with_file_named,
    with_flipped_byte,
    with_front_end,
    with_hash,
    with_manifest,
    with_model,
    with_probabilities,
    with_probe,
    with_tables,
    without_file,
    without_file_and_hash,
    without_hash_of,
    without_manifest_field,
    write_manifest,
)
from tests.tiny_model import LABELS, SAVING_WARNS, TinyModel, rehash

pytestmark = [
    SAVING_WARNS,
    pytest.mark.filterwarnings("ignore:You are saving a model that has not yet been built"),
]

FILES = ("MODEL_CARD.md", "confusion_matrix.png", "front_end.npz", "loss.png", "metrics.json",
         "model.keras", "model.onnx", "reliability.png")  # fmt: skip


@pytest.fixture
def version(tiny: TinyModel, tmp_path: Path) -> Path:
    """A copy of the tiny version, to damage."""
    return tiny.copy_version(tmp_path)


def load(version: Path) -> Classifier:
    """Open and load a version with every check that a compute process makes."""
    return Classifier.load(Artifact.open(version))


def test_a_whole_version_loads(version: Path) -> None:
    assert load(version).labels == LABELS


def test_a_manifest_vouches_for_every_file(version: Path) -> None:
    files = Artifact.open(version).manifest.files
    assert set(files) == set(FILES) == set(hash_files(version))


NO_TABLE = np.empty(0)
OTHER_WINDOW = np.ones(400, np.float32)
NAN, INFINITY = float("nan"), float("inf")
OTHER_FILTERBANK = np.ones((20, 7), np.float32)

INCOMPLETE: dict[str, tuple[Damage, str]] = {
    "no manifest": (remove_manifest, r"no manifest\.json"),
    "nothing": (remove_folder_contents, r"no manifest\.json"),
    **{
        f"no {name}": (without_file(name), f"{name} missing") for name in FILES
    },
    "required file neither there nor listed": (
        without_file_and_hash("model.keras"),
        r"model\.keras missing",
    ),
}  # fmt: skip

CORRUPT: dict[str, tuple[Damage, str]] = {
    **{
        f"flipped byte in {name}": (
            with_flipped_byte(name),
            f"{name} is not the file that was exported",
        )
        for name in FILES
    },
    "last byte of model.keras flipped": (
        with_flipped_byte("model.keras", place=1),
        r"model\.keras is not the file",
    ),
    "hash of another file": (with_hash("0" * 64), r"model\.keras is not the file"),
    "one label too many": (with_manifest(labels=[*LABELS, "silence"]), "4 labels"),
    "one label too few": (with_manifest(labels=list(LABELS[:-1])), "2 labels"),
    "short window": (with_tables(window=OTHER_WINDOW), r"'window' is \(400,\), not \(512,\)"),
    "narrow filterbank": (
        with_tables(mel_filterbank=OTHER_FILTERBANK),
        r"'mel_filterbank' is \(20, 7\), not \(20, 257\)",
    ),
    "no window": (with_tables(window=NO_TABLE), "'window' is missing"),
    "no filterbank": (with_tables(mel_filterbank=NO_TABLE), "'mel_filterbank' is missing"),
    "table of words": (with_tables(window=np.full(512, "loud")), "front.end"),
    "table of objects": (
        with_tables(window=np.array([None] * 512)),
        r"front_end\.npz cannot be read",
    ),
    "front end cut off": (
        with_file("front_end.npz", lambda whole: whole[: len(whole) // 2]),
        r"front_end\.npz cannot be read",
    ),
    "empty front end": (
        with_file("front_end.npz", lambda _whole: b""),
        r"front_end\.npz cannot be read",
    ),
    "front end of one array": (with_file("front_end.npz", array_file), r"front_end\.npz"),
    "model cut off": (
        with_file("model.keras", lambda whole: whole[: len(whole) // 2]),
        r"model\.keras: Keras cannot load",
    ),
    "model that is text": (
        with_file("model.keras", lambda _whole: b"not a model"),
        r"model\.keras: Keras cannot load",
    ),
    "model of other features": (
        with_model(model_of_other_features),
        r"features of shape \(5, 7, 1\), its front end makes \(13, 32, 1\)",
    ),
    "model of two inputs": (with_model(model_of_two_inputs), r"model\.keras"),
    "model without an input": (with_model(model_without_input), r"model\.keras"),
    "probe of too many": (with_probabilities(lambda p: [*p, 0.0]), "4 probabilities for 3 labels"),
    "probe of none": (with_probabilities(lambda _p: []), "0 probabilities for 3 labels"),
}

FOREIGN: dict[str, tuple[Damage, str]] = {
    "not JSON": (write_manifest("labels: [a, b]"), "Invalid JSON"),
    "empty manifest": (write_manifest(""), "Invalid JSON"),
    "manifest of a list": (write_manifest("[]"), "should be an object"),
    "older schema": (with_manifest(schema_version=0), "schema_version"),
    "newer schema": (with_manifest(schema_version=2), "schema_version"),
    "unknown field": (with_manifest(threshold=0.5), "threshold: Extra inputs"),
    "missing field": (without_manifest_field("labels"), "labels: Field required"),
    "one label": (with_manifest(labels=["noise"]), "labels"),
    "another name": (with_manifest(name="other"), "that of other, version 1"),
    "another version": (with_manifest(version=2), "that of tiny, version 2"),
    "version 0": (with_manifest(version=0), "version"),
    "name of a path": (with_manifest(name="../tiny"), "name"),
    "unknown front end field": (with_front_end(gain=2), "unknown fields: gain"),
    "front end out of range": (with_front_end(sample_rate_hz=-8000), "sample_rate_hz must be"),
    "front end of a wrong type": (with_front_end(window_seconds="one"), "wrong type"),
    "front end without features": (with_front_end(features=None), "features must be"),
    "no hash of the model": (without_hash_of("model.keras"), r"no hash of model\.keras"),
    "no hash of the front end": (without_hash_of("front_end.npz"), r"no hash of front_end\.npz"),
    "hash that is none": (with_hash("sha256:0"), r"files\.model\.keras"),
    "file outside the folder": (with_file_named("../../../etc/passwd"), "passwd"),
    "absolute file": (with_file_named("/etc/passwd"), "passwd"),
    "hidden file": (with_file_named(".hidden"), "hidden"),
    "probe without tolerance": (with_probe(tolerance=0), r"probe\.tolerance"),
    "probe of any tolerance": (with_probe(tolerance=1), r"probe\.tolerance"),
    "temperature of 0": (with_calibration(temperature=0), r"calibration\.temperature"),
    "temperature below 0": (with_calibration(temperature=-1), r"calibration\.temperature"),
    "temperature of NaN": (with_calibration(temperature=NAN), r"calibration\.temperature"),
    "temperature of infinity": (with_calibration(temperature=INFINITY), r"calibration\.temp"),
    "threshold below 0": (with_calibration(uncertain_below=-0.1), r"calibration\.uncertain_below"),
    "threshold above 1": (with_calibration(uncertain_below=1.1), r"calibration\.uncertain_below"),
    "threshold of NaN": (with_calibration(uncertain_below=NAN), r"calibration\.uncertain_below"),
    "calibration of more": (with_calibration(bias=1), r"calibration\.bias: Extra inputs"),
}

MISMATCH: dict[str, tuple[Damage, str]] = {
    "probe edited": (
        with_probabilities(lambda p: [p[0] + 0.002, p[1] - 0.002, p[2]]),
        r"by 0\.002, 0\.001 allowed",
    ),
    "probe in another order": (with_probabilities(lambda p: [*p[1:], p[0]]), "0.001 allowed"),
    "probe of NaN": (with_probabilities(lambda p: [float("nan"), *p[1:]]), "by nan"),
    "probe of NaN only": (with_probabilities(lambda p: [float("nan")] * len(p)), "by nan"),
    "probe of infinity": (with_probabilities(lambda p: [float("inf"), *p[1:]]), "by inf"),
    "another temperature": (with_calibration(temperature=5), "answers the probe differently"),
    "no calibration any more": (
        with_manifest(calibration=None),
        "answers the probe differently",
    ),
    "window of another shape": (
        with_tables(window=np.ones(512, np.float32)),
        "answers the probe differently",
    ),
    "filterbank of NaN": (
        with_tables(mel_filterbank=np.full((20, 257), np.nan, np.float32)),
        "answers the probe differently",
    ),
}

REFUSALS = [
    pytest.param(damage, expected, reason, id=name)
    for expected, refusals in {
        IncompleteArtifactError: INCOMPLETE,
        CorruptArtifactError: CORRUPT,
        ForeignArtifactError: FOREIGN,
        ProbeMismatchError: MISMATCH,
    }.items()
    for name, (damage, reason) in refusals.items()
]


@pytest.mark.parametrize(("damage", "expected", "reason"), REFUSALS)
def test_a_damaged_version_is_refused_by_name_and_reason(
    version: Path, damage: Damage, expected: type[ArtifactError], reason: str
) -> None:
    damage(version)
    with pytest.raises(ArtifactError, match=reason) as raised:
        load(version)
    assert type(raised.value) is expected
    assert str(raised.value).startswith("tiny@1: ")
    assert str(version) not in str(raised.value)  # it reaches clients, whom no path concerns


# One for each sentence that a refusal can be.
ONE_OF_EACH = [
    "no manifest", "no model.keras", "flipped byte in model.keras", "not JSON", "newer schema",
    "front end out of range", "no hash of the model", "another name", "table of objects",
    "short window", "model that is text", "model of other features", "one label too many",
    "probe of too many", "probe edited",
]  # fmt: skip
ADVICE_BEGINS_WITH = ("copy ", "restore ", "remove ", "move ", "serve ", "train ", "export ")


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_a_refusal_says_what_to_do(version: Path, name: str) -> None:
    damage, _ = {**INCOMPLETE, **CORRUPT, **FOREIGN, **MISMATCH}[name]
    damage(version)
    with pytest.raises(ArtifactError) as raised:
        load(version)
    message = str(raised.value).lower()
    assert any(verb in message for verb in ADVICE_BEGINS_WITH)


@pytest.mark.parametrize("n_probabilities", [2, 3])
def test_a_label_that_occurs_twice_is_refused(version: Path, n_probabilities: int) -> None:
    """Else two of the model's outputs would become one probability, and one be lost."""
    with_manifest(labels=["noise", "noise", "tone"])(version)
    with_probabilities(lambda p: p[-n_probabilities:])(version)
    with pytest.raises(ArtifactError, match="label"):
        load(version)


def test_a_version_from_before_calibration_is_read(version: Path) -> None:
    without_manifest_field("calibration")(version)
    assert Artifact.open(version).manifest.calibration is None


def test_an_answer_within_the_tolerance_is_accepted(version: Path) -> None:
    with_probabilities(lambda p: [p[0] + 0.0005, p[1] - 0.0005, p[2]])(version)
    assert load(version).labels == LABELS


def test_code_in_a_model_is_refused_and_does_not_run(version: Path, tmp_path: Path) -> None:
    trace = tmp_path / "the code ran"

    def leave_a_trace(features: Any) -> Any:
        trace.touch()
        return features

    with_model(lambda: model_that_runs(leave_a_trace))(version)
    trace.unlink()
    with pytest.raises(CorruptArtifactError, match=r"(?s)model\.keras: Keras cannot load.*Lambda"):
        load(version)
    assert not trace.exists()


def test_a_pickle_in_the_front_end_is_refused_and_does_not_run(version: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
            return pytest.fail, ()

    np.savez(version / "front_end.npz", window=np.array([Bomb()]))
    rehash(version)
    with pytest.raises(CorruptArtifactError, match="allow_pickle"):
        load(version)


def test_every_file_is_checked_before_any_is_loaded(version: Path) -> None:
    """A model is code to its loader: nothing may look into it before its hash is known."""
    with zipfile.ZipFile(version / "model.keras", "a") as archive:
        archive.writestr("more", "than was exported")
    with pytest.raises(CorruptArtifactError, match="sha256"):
        Artifact.open(version)
