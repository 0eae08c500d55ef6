"""ModelStore: what is a version, which one answers, and that no name leads out of the store."""

from pathlib import Path

import pytest

from app.errors import ForeignArtifactError, UnknownModelError, UnknownVersionError
from app.inference.store import ModelReference, ModelStore
from tests.tiny_model import LABELS, TinyModel


def store_with(root: Path, *versions: str) -> ModelStore:
    for version in versions:
        (root / version).mkdir(parents=True)
    return ModelStore(root)


def test_models_are_listed_in_alphabetical_order(tmp_path: Path) -> None:
    store = store_with(tmp_path, "b/1", "c/1", "a/1")
    assert store.names() == ["a", "b", "c"]


def test_a_model_without_a_version_is_not_listed(tmp_path: Path) -> None:
    store = store_with(tmp_path, "whole/1", "begun")
    (tmp_path / "README.md").write_text("not a model")
    assert store.names() == ["whole"]


@pytest.mark.parametrize("root", ["", "missing"])
def test_an_empty_store_says_so(tmp_path: Path, root: str) -> None:
    store = ModelStore(tmp_path / root)
    assert store.names() == []
    with pytest.raises(UnknownModelError, match="The model store is empty"):
        store.resolve("urbansound")


@pytest.mark.parametrize(
    "not_a_version",
    [
        ".partial-x8c2", "0", "01", "-1", "+1", "1.0", "1e3", "1 ", "v3", "latest", "3.partial",
        "1234567890", "1\N{ARABIC-INDIC DIGIT TWO}", "\N{SUPERSCRIPT TWO}",
    ],
)  # fmt: skip
def test_a_folder_of_another_name_is_no_version(tmp_path: Path, not_a_version: str) -> None:
    store = store_with(tmp_path, "model/1", f"model/{not_a_version}")
    assert store.versions("model") == [1]


def test_a_file_is_no_version(tmp_path: Path) -> None:
    store = store_with(tmp_path, "model/1")
    (tmp_path / "model" / "2").write_text("")
    assert store.versions("model") == [1]


def test_an_export_in_progress_is_no_model(tmp_path: Path) -> None:
    store = store_with(tmp_path, ".partial-x8c2/1", ".partial-x8c2/model/1", "model/1")
    assert store.names() == ["model"]
    with pytest.raises(UnknownModelError):
        store.resolve(".partial-x8c2")


def test_the_highest_version_answers_by_number_not_by_spelling(tmp_path: Path) -> None:
    store = store_with(tmp_path, "model/2", "model/9", "model/10")
    assert store.versions("model") == [2, 9, 10]
    assert store.resolve("model") == ModelReference("model", 10)


def test_a_version_can_be_asked_for(tmp_path: Path) -> None:
    store = store_with(tmp_path, "model/1", "model/2")
    assert store.resolve("model", 1) == ModelReference("model", 1)


def test_a_version_that_is_added_is_seen(tmp_path: Path) -> None:
    store = store_with(tmp_path, "model/1")
    assert store.resolve("model").version == 1
    store_with(tmp_path, "model/2")
    assert store.resolve("model").version == 2


def test_an_unknown_model_is_an_error_that_names_the_known(tmp_path: Path) -> None:
    store = store_with(tmp_path, "birds/1", "engines/4")
    with pytest.raises(UnknownModelError, match=r"'frogs' here\. There is: birds, engines\."):
        store.resolve("frogs")


@pytest.mark.parametrize("version", [-1, 0, 3, 11])
def test_an_unknown_version_is_an_error_that_names_the_known(tmp_path: Path, version: int) -> None:
    store = store_with(tmp_path, "model/1", "model/2")
    message = rf"'model' has no version {version}\. It has: 1, 2\."
    with pytest.raises(UnknownVersionError, match=message):
        store.resolve("model", version)


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../outside", "model/../../outside", "model/", "./model", "/", "model\0", "*"],
)
def test_a_name_never_leads_out_of_the_store(tmp_path: Path, name: str) -> None:
    store = store_with(tmp_path / "store", "model/1")
    store_with(tmp_path, "outside/1", "1")
    with pytest.raises(UnknownModelError):
        store.resolve(name)


def test_an_absolute_name_never_leads_out_of_the_store(tmp_path: Path) -> None:
    store = store_with(tmp_path / "store", "model/1")
    store_with(tmp_path, "outside/1")
    with pytest.raises(UnknownModelError):
        store.resolve(str(tmp_path / "outside"))


def test_a_huge_name_is_not_repeated_whole(tmp_path: Path) -> None:
    with pytest.raises(UnknownModelError) as raised:
        store_with(tmp_path, "model/1").resolve("x" * 100_000)
    assert len(str(raised.value)) < 200


def test_references_sort_by_number_and_read_well() -> None:
    references = [ModelReference("a", 10), ModelReference("b", 1), ModelReference("a", 9)]
    assert [str(reference) for reference in sorted(references)] == ["a@9", "a@10", "b@1"]


def test_a_real_version_is_read_and_opened(tiny: TinyModel) -> None:
    store = ModelStore(tiny.store)
    reference = store.resolve("tiny")
    assert store.manifest(reference).labels == list(LABELS)
    assert store.open(reference).folder == store.folder(reference) == tiny.version


def test_a_version_copied_to_another_number_is_refused(tiny: TinyModel, tmp_path: Path) -> None:
    tiny.copy_version(tmp_path).rename(tmp_path / "tiny" / "2")
    store = ModelStore(tmp_path)
    with pytest.raises(ForeignArtifactError, match=r"tiny@2: .* is that of tiny, version 1"):
        store.open(store.resolve("tiny"))
