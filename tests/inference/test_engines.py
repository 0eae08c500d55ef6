"""Engines: Keras and ONNX Runtime answer alike, and refuse what they cannot run."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from app.audio.frontend import FrontEnd
from app.errors import CorruptArtifactError
from app.inference.artifact import Artifact
from app.inference.engine import load_engine
from app.inference.store import ModelStore
from app.settings import DEFAULT_MODEL_STORE
from tests.conftest import SAMPLES
from tests.inference import damages
from tests.tiny_model import SAVING_WARNS, TinyModel, rehash
from training.onnx_conversion import write_onnx

pytestmark = SAVING_WARNS

TOLERANCE = 1e-4


def answers_of_both(artifact: Artifact, features: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    return [load_engine("keras", artifact).predict(features),
            load_engine("onnx", artifact).predict(features)]  # fmt: skip


@pytest.mark.parametrize("n_windows", [1, 2, 33])
def test_both_engines_answer_alike(tiny: TinyModel, n_windows: int) -> None:
    shape = (n_windows, *tiny.open().manifest.front_end_spec.feature_shape)
    features = np.random.default_rng(n_windows).normal(scale=30, size=shape).astype(np.float32)
    by_keras, by_onnx = answers_of_both(tiny.open(), features)
    assert by_keras.dtype == by_onnx.dtype == np.float32
    assert by_keras.shape == by_onnx.shape == (n_windows, 3)
    np.testing.assert_allclose(by_onnx, by_keras, rtol=0, atol=TOLERANCE)
    assert len({tuple(row) for row in by_keras.round(4)}) == n_windows  # else they agree on nothing


def test_both_engines_answer_alike_about_the_samples() -> None:
    store = ModelStore(DEFAULT_MODEL_STORE)
    artifact = store.open(store.resolve("urbansound"))
    front_end = FrontEnd(artifact.manifest.front_end_spec, artifact.front_end_tables())
    paths = [path for path in SAMPLES.iterdir() if path.suffix in (".wav", ".mp3")]
    clips = [front_end.features(path.read_bytes()).features for path in paths]
    assert len(clips) == 9
    by_keras, by_onnx = answers_of_both(artifact, np.concatenate(clips))
    np.testing.assert_allclose(by_onnx, by_keras, rtol=0, atol=TOLERANCE)
    assert float(np.median(np.max(by_keras, axis=1))) > 0.5


def with_onnx_of(model: Callable[[], object]) -> damages.Damage:
    def damage(version: Path) -> None:
        write_onnx(model(), version / "model.onnx")
        rehash(version)

    return damage


REFUSED: dict[str, tuple[damages.Damage, str]] = {
    "cut off": (
        damages.with_file("model.onnx", lambda whole: whole[: len(whole) // 2]),
        r"tiny@1: model\.onnx: ONNX Runtime cannot load the model",
    ),
    "text": (damages.with_file("model.onnx", lambda _whole: b"not a model"), "ONNX Runtime cannot"),
    "empty": (damages.with_file("model.onnx", lambda _whole: b""), "ONNX Runtime cannot"),
    "of other features": (
        with_onnx_of(damages.model_of_other_features),
        r"model\.onnx: the model takes features of shape \(5, 7, 1\), its front end makes \(13",
    ),
}


@pytest.mark.parametrize(("damage", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_onnx_runtime_cannot_run_is_refused(
    tiny: TinyModel, tmp_path: Path, damage: damages.Damage, reason: str
) -> None:
    version = tiny.copy_version(tmp_path)
    damage(version)
    with pytest.raises(CorruptArtifactError, match=reason) as refusal:
        load_engine("onnx", Artifact.open(version))
    assert str(tmp_path) not in str(refusal.value)
    assert "\n" not in str(refusal.value)
