"""What the page draws: its log-mel spectrogram against NumPy's, with the mel bands of librosa."""

import numpy as np

from tests.sounds import noisy_sweep
from tests.two_versions import SHIPPED
from tests.web.hark_page import HarkPage

RATE_HZ = 22_050
TOP_DB = 80

COMPUTE = """async ([samples, rate, columns, bands]) => {
    const { melSpectrogram, envelope } = await import("/static/mel.js");
    const given = Float32Array.from(samples);
    return [[...melSpectrogram(given, rate, columns, bands)], [...envelope(given, columns)]];
}"""


def test_the_pictures_are_of_the_sound(hark: HarkPage) -> None:
    with np.load(SHIPPED / "front_end.npz") as tables:  # made by librosa, for this rate
        hann, filterbank = tables["window"], tables["mel_filterbank"]
    bands, size = len(filterbank), len(hann)
    frames = noisy_sweep(1.0, RATE_HZ)[: 21 * size, 0].astype(np.float32).reshape(21, size)
    drawn, extremes = hark.page.evaluate(COMPUTE, [frames.ravel().tolist(), RATE_HZ, 21, bands])

    mel = np.abs(np.fft.rfft(frames * hann)) ** 2 @ filterbank.T
    expected = np.clip(1 + 10 * np.log10(mel / mel.max()) / TOP_DB, 0, 1)
    np.testing.assert_allclose(np.reshape(drawn, mel.shape), expected, atol=1e-3)
    bounds = np.stack([frames.min(axis=1), frames.max(axis=1)], axis=1)
    np.testing.assert_allclose(np.reshape(extremes, bounds.shape), bounds, atol=1e-6)
