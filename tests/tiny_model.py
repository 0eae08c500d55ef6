"""A tiny model of three synthesised sounds, fitted once a session by `hark-train fit` itself."""

import csv
import fcntl
import io
import json
import shutil
import subprocess
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from app.inference.artifact import Artifact, hash_files
from app.inference.store import ModelReference, ModelStore

# Keras 3.15 under NumPy 2.5 says so whenever a model is saved; tests that save one let it.
SAVING_WARNS = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)

HARK_TRAIN = Path(sysconfig.get_path("scripts")) / "hark-train"
NAME = "tiny"
LABELS = ("clicks", "noise", "tone")
FOLDS = ("1", "2", "3")
CLIPS_PER_LABEL_AND_FOLD = 4
RATE_HZ = 8_000

RECIPE = """
name = "tiny"
summary = "Three synthesised sounds"
source = "this test suite"
published = "nowhere"

[front_end]
sample_rate_hz = 8000
window_seconds = 1.0
padding = "repeat"

[front_end.features]
n_mfcc = 13
n_mels = 20
n_fft = 512
hop_length = 256
mel_max_hz = 4000.0

[model]
architecture = "cnn"

[model.options]
filters = [16]
pool_sizes = [[2, 2]]
dropout = [0.0]

[training]
epochs = 8
patience = 3
batch_size = 8
learning_rate = 0.05

[augmentation]
time_shift = true
mixup_alpha = 0.2
"""


@dataclass(frozen=True, slots=True)
class TinyModel:
    """What went into the tiny model, and the store that it came out in as version 1.

    Shared by the whole session: a test that damages a version works on `copy_version`.
    """

    folder: Path

    @property
    def recipe(self) -> Path:
        return self.folder / "tiny.toml"

    @property
    def data(self) -> Path:
        return self.folder / "sounds.csv"

    @property
    def unreadable(self) -> Path:
        """The one file of the data that is no audio."""
        return self.folder / "sounds" / "broken.wav"

    @property
    def cache(self) -> Path:
        return self.folder / "cache"

    @property
    def store(self) -> Path:
        return self.folder / "store"

    @property
    def version(self) -> Path:
        return self.store / NAME / "1"

    @property
    def reference(self) -> ModelReference:
        return ModelReference(NAME, 1)

    def open(self) -> Artifact:
        return ModelStore(self.store).open(self.reference)

    def fit_arguments(self, store: Path) -> list[str]:
        """The arguments of the `hark-train` command that fits the tiny model into a store."""
        return [
            *("fit", str(self.recipe), "--data", str(self.data), "--name", NAME),
            *("--store", str(store), "--cache", str(self.cache)),
        ]

    def copy_version(self, store: Path) -> Path:
        """Copy version 1 into another store, and return its folder there."""
        return Path(shutil.copytree(self.version, store / NAME / "1"))


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> TinyModel:
    """The tiny model, fitted by whichever test asks first, in whichever process of pytest-xdist."""
    folder = tmp_path_factory.getbasetemp()
    if worker_id != "master":
        folder = folder.parent  # what the processes have in common
    model = TinyModel(folder / "tiny-model")
    with (folder / "tiny-model.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not model.version.exists():
            shutil.rmtree(model.folder, ignore_errors=True)  # of a fit that failed
            write_data(model)
            finished = run_hark_train(*model.fit_arguments(model.store))
            assert finished.returncode == 0, finished.stderr
    return model


def run_hark_train(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the installed command in a process of its own."""
    return subprocess.run([HARK_TRAIN, *arguments], capture_output=True, text=True, check=False)


def write_data(model: TinyModel) -> None:
    """Write the recipe, the sounds, and the CSV that lists them with their folds."""
    (model.folder / "sounds").mkdir(parents=True)
    model.recipe.write_text(RECIPE)
    model.unreadable.write_bytes(b"no sound" * 100)
    rows = [("sounds/broken.wav", "noise", "2")]
    for seed, (fold, label, _) in enumerate(
        (fold, label, take)
        for fold in FOLDS
        for label in LABELS
        for take in range(CLIPS_PER_LABEL_AND_FOLD)
    ):
        path = f"sounds/{label}-{fold}-{seed}.wav"
        (model.folder / path).write_bytes(wav(sound(label, seed, seconds=1.0 + 0.5 * (seed % 3))))
        rows.append((path, label, fold))
    with model.data.open("w", newline="") as file:
        csv.writer(file).writerows([("path", "label", "fold"), *rows])


def sound(
    label: str, seed: int, seconds: float = 1.0, rate_hz: int = RATE_HZ
) -> NDArray[np.float64]:
    """Synthesise a clip of a label, `[n_samples]` in [-1, 1]; no two seeds sound the same.

    Everything lies below 3 kHz, so that every rate from 8 kHz up and every codec keeps it.
    """
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate_hz)) / rate_hz
    level = rng.uniform(0.3, 0.8)
    if label == "tone":
        return level * np.sin(2 * np.pi * rng.uniform(300, 1200) * time)
    if label == "clicks":
        phase = (time + rng.uniform(0, 0.2)) % rng.uniform(0.15, 0.25)
        return level * np.exp(-phase / 0.004) * np.sin(2 * np.pi * 2000 * phase)
    lowest, highest = round(50 * seconds), round(3000 * seconds)
    spectrum = np.zeros(len(time) // 2 + 1, dtype=complex)
    spectrum[lowest:highest] = np.exp(2j * np.pi * rng.random(highest - lowest))
    noise: NDArray[np.float64] = np.fft.irfft(spectrum, len(time))
    noise *= level / np.abs(noise).max()
    return noise


def wav(samples: NDArray[np.float64], rate_hz: int = RATE_HZ) -> bytes:
    """Encode samples `[n]` or `[n, channels]` as the bytes of a 16-bit WAV."""
    return encoded(samples, rate_hz, "WAV")


def encoded(samples: NDArray[np.float64], rate_hz: int, container: str) -> bytes:
    """Encode samples `[n]` or `[n, channels]` with libsndfile."""
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate_hz, format=container)
    return buffer.getvalue()


def read_manifest_json(version: Path) -> dict[str, Any]:
    """Read a version's manifest as plain values."""
    manifest: dict[str, Any] = json.loads((version / "manifest.json").read_bytes())
    return manifest


def edit_manifest(version: Path, /, **changes: object) -> None:
    """Change fields of a version's manifest, whether that leaves it valid or not."""
    manifest = {**read_manifest_json(version), **changes}
    (version / "manifest.json").write_text(json.dumps(manifest))


def rehash(version: Path) -> None:
    """Have a version's manifest vouch for its files as they are now."""
    edit_manifest(version, files=hash_files(version))
