"""Damages: what can be wrong with a version's folder, as functions that make it so."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.inference.tensorflow_import import import_tensorflow
from tests.tiny_model import edit_manifest, read_manifest_json, rehash

Damage = Callable[[Path], object]


def with_flipped_byte(name: str, place: float = 0.5) -> Damage:
    def damage(version: Path) -> None:
        data = bytearray((version / name).read_bytes())
        data[int(place * (len(data) - 1))] ^= 0xFF
        (version / name).write_bytes(data)

    return damage


def without_file(name: str) -> Damage:
    return lambda version: (version / name).unlink()


def remove_manifest(version: Path) -> None:
    (version / "manifest.json").unlink()


def remove_folder_contents(version: Path) -> None:
    for path in version.iterdir():
        path.unlink()


def write_manifest(text: str) -> Damage:
    return lambda version: (version / "manifest.json").write_text(text)


def with_manifest(**changes: object) -> Damage:
    return lambda version: edit_manifest(version, **changes)


def without_manifest_field(name: str) -> Damage:
    def damage(version: Path) -> None:
        manifest = read_manifest_json(version)
        del manifest[name]
        remove_manifest(version)
        (version / "manifest.json").write_text("{}")
        edit_manifest(version, **manifest)

    return damage


def with_front_end(**changes: object) -> Damage:
    return lambda version: edit_manifest(
        version, front_end={**read_manifest_json(version)["front_end"], **changes}
    )


def without_hash_of(name: str) -> Damage:
    def damage(version: Path) -> None:
        files = read_manifest_json(version)["files"]
        edit_manifest(version, files={key: files[key] for key in files if key != name})

    return damage


def without_file_and_hash(name: str) -> Damage:
    def damage(version: Path) -> None:
        without_hash_of(name)(version)
        without_file(name)(version)

    return damage


def with_file_named(name: str) -> Damage:
    return lambda version: edit_manifest(
        version, files={**read_manifest_json(version)["files"], name: "0" * 64}
    )


def with_hash(value: str) -> Damage:
    return lambda version: edit_manifest(
        version, files={**read_manifest_json(version)["files"], "model.keras": value}
    )


def with_tables(**tables: NDArray[np.generic]) -> Damage:
    """Replace front-end tables, and have the manifest vouch for them."""

    def damage(version: Path) -> None:
        whole = dict(np.load(version / "front_end.npz"))
        changed = {name: table for name, table in {**whole, **tables}.items() if table.size}
        np.savez(version / "front_end.npz", allow_pickle=True, **changed)
        rehash(version)

    return damage


def with_file(name: str, change: Callable[[bytes], bytes]) -> Damage:
    """Replace a file, and have the manifest vouch for it."""

    def damage(version: Path) -> None:
        (version / name).write_bytes(change((version / name).read_bytes()))
        rehash(version)

    return damage


def with_calibration(**changes: object) -> Damage:
    return lambda version: edit_manifest(
        version, calibration={**read_manifest_json(version)["calibration"], **changes}
    )


def with_probe(**changes: object) -> Damage:
    return lambda version: edit_manifest(
        version, probe={**read_manifest_json(version)["probe"], **changes}
    )


def with_probabilities(change: Callable[[list[float]], list[float]]) -> Damage:
    def damage(version: Path) -> None:
        probe = read_manifest_json(version)["probe"]
        edit_manifest(version, probe={**probe, "probabilities": change(probe["probabilities"])})

    return damage


def with_model(model: Callable[[], Any]) -> Damage:
    """Replace the Keras model, and have the manifest vouch for it."""

    def damage(version: Path) -> None:
        model().save(version / "model.keras")
        rehash(version)

    return damage


def model_of_other_features() -> Any:
    layers = import_keras().layers
    inputs = layers.Input((5, 7, 1))
    outputs = layers.Dense(3, activation="softmax")(layers.Flatten()(inputs))
    return import_keras().Model(inputs, outputs)


def model_of_two_inputs() -> Any:
    layers = import_keras().layers
    inputs = [layers.Input((13, 32, 1)), layers.Input((13, 32, 1))]
    outputs = layers.Dense(3, activation="softmax")(layers.Flatten()(layers.Add()(inputs)))
    return import_keras().Model(inputs, outputs)


def model_without_input() -> Any:
    layers = import_keras().layers
    return import_keras().Sequential([layers.Flatten(), layers.Dense(3)])


def model_that_runs(code: Callable[[Any], Any]) -> Any:
    """A model with a layer that is a Python function."""
    layers = import_keras().layers
    inputs = layers.Input((13, 32, 1))
    outputs = layers.Dense(3)(layers.Flatten()(layers.Lambda(code)(inputs)))
    return import_keras().Model(inputs, outputs)


def import_keras() -> Any:
    """Import Keras where it is needed, and TensorFlow quietly before it."""
    import_tensorflow()
    import keras

    return keras


def array_file(_whole: bytes) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    return buffer.getvalue()
