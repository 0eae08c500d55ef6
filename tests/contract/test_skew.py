"""Training and serving compute the same features: from an artifact's tables, in any process."""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from numpy.typing import NDArray

from app.audio.feature_specs import MfccSpec, SpecError
from app.audio.frontend import FrontEnd
from app.audio.spec import FrontEndSpec, Padding
from tests.contract.interpreter import run_python
from tests.sounds import encode, noisy_sweep

SPECS: Final = {
    "default": FrontEndSpec(),
    "unusual": FrontEndSpec(
        sample_rate_hz=16_000,
        window_seconds=1.5,
        padding="repeat",
        features=MfccSpec(n_mfcc=13, n_mels=40, n_fft=1024, hop_length=256, mel_max_hz=7_500.0),
    ),
}

SOUND: Final = noisy_sweep(4.7, 44_100, 2)
FILES: Final = {
    "wav": encode(SOUND, 44_100),
    "mp3": encode(SOUND, 44_100, "MP3", "MPEG_LAYER_III"),
    "flac": encode(SOUND, 44_100, "FLAC"),
}


def through_npz(tables: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
    """Write tables and read them back, as an export and a start of the service do."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **tables)
    buffer.seek(0)
    with np.load(buffer, allow_pickle=False) as loaded:
        return dict(loaded)


@pytest.mark.parametrize("data", FILES.values(), ids=FILES)
@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_an_artifacts_tables_give_the_same_bits(spec: FrontEndSpec, data: bytes) -> None:
    trained = FrontEnd.build(spec)
    manifest = json.loads(json.dumps(spec.to_manifest()))
    served = FrontEnd(FrontEndSpec.from_manifest(manifest), through_npz(trained.tables))
    np.testing.assert_array_equal(served.features(data).features, trained.features(data).features)


def test_an_artifacts_tables_are_used_and_not_made_anew() -> None:
    spec = SPECS["default"]
    built = FrontEnd.build(spec)
    tables = {name: np.asarray(2 * table) for name, table in built.tables.items()}
    louder = FrontEnd(spec, tables).features(FILES["wav"]).features
    assert not np.allclose(louder, built.features(FILES["wav"]).features)


LATER_FEATURES: Final = MfccSpec(n_mfcc=20)


@dataclass(frozen=True, slots=True, kw_only=True)
class LaterSpec(FrontEndSpec):
    """FrontEndSpec as a later release might have it: with other defaults."""

    sample_rate_hz: int = 32_000
    window_seconds: float = 2.0
    shortest_tail_seconds: float = 0.5
    padding: Padding = "repeat"
    features: MfccSpec = LATER_FEATURES


@dataclass(frozen=True, slots=True, kw_only=True)
class LongerSpec(FrontEndSpec):
    """FrontEndSpec as a later release might have it: with one more field."""

    pre_emphasis: float = 0.97


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_a_later_default_does_not_change_an_artifact(spec: FrontEndSpec) -> None:
    manifest = spec.to_manifest()
    assert LaterSpec.from_manifest(manifest).to_manifest() == manifest


def test_a_later_field_is_not_made_up_for_an_artifact_without_it() -> None:
    with pytest.raises(SpecError, match="missing fields: pre_emphasis"):
        LongerSpec.from_manifest(FrontEndSpec().to_manifest())


def test_a_field_of_a_later_release_is_not_ignored() -> None:
    with pytest.raises(SpecError, match="unknown fields: pre_emphasis"):
        FrontEndSpec.from_manifest(LongerSpec().to_manifest())


# What a compute process does: the tables come from the artifact. Prints a hash of the features of
# each file named on the command line.
SERVE: Final = """
import hashlib, sys
from pathlib import Path
import numpy as np
from app.audio.frontend import FrontEnd
from app.audio.spec import FrontEndSpec

front_end = FrontEnd(FrontEndSpec(), dict(np.load("front_end.npz", allow_pickle=False)))
for name in sys.argv[1:]:
    features = front_end.features(Path(name).read_bytes()).features
    print(name, features.shape, hashlib.sha256(features.tobytes()).hexdigest())
assert "librosa" not in sys.modules
"""


def test_features_are_the_same_bits_in_another_process(tmp_path: Path) -> None:
    trained = FrontEnd.build(FrontEndSpec())
    np.savez(tmp_path / "front_end.npz", allow_pickle=False, **trained.tables)
    expected = []
    for name, data in FILES.items():
        (tmp_path / name).write_bytes(data)
        features = trained.features(data).features
        expected.append(f"{name} {features.shape} {sha256(features.tobytes()).hexdigest()}")
    assert run_python(SERVE, *FILES, folder=tmp_path).splitlines() == expected
