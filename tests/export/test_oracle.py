"""The oracle against originals that others wrote: librosa, numpy.convolve, scipy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.recordings import recordings
from xfer.export import oracle
from xfer.runtime.errors import Unusable
from xfer.train.nets.frontends import Frontend, Sinc, Stft
from xfer.train.nets.rawnet2 import LegacySinc

STFT = {
    "kind": "stft", "n_fft": 1024, "hop": 512, "frames": 128,
    "window": "hann_symmetric", "pad": "reflect", "value": "magnitude", "normalise": "none",
}  # fmt: skip
SINC = {
    "kind": "sinc", "filters": 2, "length": 251, "sample_rate": 16000, "padding": 125,
    "min_low": 50.0, "min_band": 50.0, "value": "absolute", "normalise": "none",
}  # fmt: skip


def noise(length: int, seed: int = 1, level: float = 0.3) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, level, length)


def test_stft_is_librosas_with_an_explicit_symmetric_window() -> None:
    librosa = pytest.importorskip("librosa")
    scipy_signal = pytest.importorskip("scipy.signal")
    wave = noise(66150)
    window = scipy_signal.get_window("hann", 1024, fftbins=False)
    other = librosa.stft(wave, n_fft=1024, hop_length=512, window=window, pad_mode="reflect", dtype=np.complex128)
    assert other.shape == (513, 130)  # FACTS.md section 10: 513 x 130, cut to 128
    ours = oracle.features(wave, STFT, {})
    assert ours.shape == (1, 128, 513)
    assert np.abs(ours[0] - np.abs(other[:, :128]).T).max() < 1e-12 * ours.max()
    assert np.abs(oracle.second_opinion(wave, STFT, {}) - ours).max() < 1e-12 * ours.max()


def test_stft_differs_from_librosas_defaults() -> None:
    """The defaults (periodic window, zero padding) are another front-end, and the limit tells them apart."""
    librosa = pytest.importorskip("librosa")
    wave = noise(66150)
    ours = oracle.features(wave, STFT, {})[0]
    assert np.abs(np.abs(librosa.stft(wave, n_fft=1024, hop_length=512))[:, :128].T - ours).max() > 1e-2 * ours.max()


@pytest.mark.parametrize("bin_number", [20, 100, 490])
def test_stft_of_a_tone_is_half_the_sum_of_the_window(bin_number: int) -> None:
    wave = np.cos(2 * np.pi * bin_number / 1024 * np.arange(66150))
    frame = oracle.features(wave, STFT, {})[0, 60]
    assert frame.argmax() == bin_number
    assert frame[bin_number] == pytest.approx(oracle.hann_symmetric(1024).sum() / 2, rel=1e-4)


def test_sinc_is_the_formula_sample_by_sample() -> None:
    """FACTS.md 3.3 with plain loops and numpy.convolve."""
    low, band = np.array([30.0, 700.0]), np.array([14.2, -300.0])
    wave = noise(2000)
    ours = oracle.features(wave, SINC, {"low": low, "band": band})
    assert ours.shape == (2, 2000)
    for row, f1, f2 in ((0, 80.0, 144.2), (1, 750.0, 1100.0)):
        taps = np.zeros(251)
        for n in range(125):
            seconds = (n - 125) / 16000
            value = (np.sin(2 * np.pi * f2 * seconds) - np.sin(2 * np.pi * f1 * seconds)) / (np.pi * seconds)
            place = np.linspace(0, 251 / 2 - 1, 125)[n]
            taps[n] = taps[250 - n] = value * (0.54 - 0.46 * np.cos(2 * np.pi * place / 251)) / (2 * (f2 - f1))
        taps[125] = 1.0
        assert np.abs(ours[row] - np.abs(np.convolve(wave, taps, "same"))).max() < 1e-12


def test_sinc_passes_its_band_and_stops_others() -> None:
    """Physics: a tone in the band has the filter's gain there, one far outside nearly vanishes."""
    parameters = {"low": np.array([950.0]), "band": np.array([950.0])}  # 1000 to 2000 Hz
    t = np.arange(8000) / 16000
    tones = (np.sin(2 * np.pi * hertz * t) for hertz in (1500, 4000))
    inside, outside = (oracle.sinc(tone, SINC, parameters)[0, 1000:7000].max() for tone in tones)
    gain = 16000 / (2 * 1000)  # an ideal band-pass of this scaling: rate / (2 width)
    assert inside == pytest.approx(gain, rel=0.02)
    assert outside < 0.01 * inside


@given(st.floats(-20000, 20000), st.floats(-20000, 20000))
@settings(max_examples=60, deadline=None)
def test_sinc_kernels_stay_finite_wherever_training_takes_the_edges(low: float, band: float) -> None:
    kernels = oracle.sinc_kernels(SINC, {"low": np.array([low]), "band": np.array([band])})
    assert np.isfinite(kernels).all()
    assert np.abs(kernels).max() <= 1.0 + 1e-9
    assert kernels[0, 125] == 1.0


FRONTENDS: dict[str, Frontend] = {
    **{f"stft-{kind}": Stft(1024, 512, 40, kind) for kind in ("none", "window", "peak")},  # type: ignore[arg-type]
    **{f"sinc-{kind}": Sinc(24, 251, 16000, 125, kind) for kind in ("none", "window", "peak")},  # type: ignore[arg-type]
    "sinc-unpadded": Sinc(24, 251, 16000, 0),
    "sinc-legacy": LegacySinc(24000, filters=24, length=251, sample_rate=16000, padding=0),
}
WAVES = {
    "noise": noise(24000),
    "quiet": noise(24000, level=1e-4),
    "offset": noise(24000, level=0.05) + 0.4,
    "constant": np.full(24000, 0.5),
    "silence": np.zeros(24000),
}


@pytest.mark.parametrize("wave", WAVES)
@pytest.mark.parametrize("name", FRONTENDS)
def test_each_front_end_is_its_oracle(name: str, wave: str) -> None:
    """The one limit of the issue: 1e-5 of the oracle's peak in the window."""
    front_end, samples = FRONTENDS[name], WAVES[wave].astype(np.float32)
    if isinstance(front_end, LegacySinc):
        with torch.no_grad():
            front_end.norm.gain.copy_(torch.linspace(0.5, 1.5, 24000))
            front_end.norm.offset.copy_(torch.linspace(-0.1, 0.1, 24000))
    with torch.no_grad():
        ours = front_end(torch.from_numpy(samples)[None])[0].double().numpy()
    wanted = oracle.features(samples, front_end.describe(), front_end.oracle_parameters())
    assert ours.shape == wanted.shape
    assert np.abs(ours - wanted).max() <= 1e-5 * max(wanted.max(), 1e-6)


def test_front_ends_on_a_real_recording() -> None:
    import soundfile

    path = next(p for p in sorted(recordings("spoken_digits").rglob("*.wav")))
    samples = np.resize(soundfile.read(path, dtype="float32", always_2d=True)[0].mean(axis=1), 24000)
    for front_end in FRONTENDS.values():
        with torch.no_grad():
            ours = front_end(torch.from_numpy(samples)[None])[0].double().numpy()
        wanted = oracle.features(samples, front_end.describe(), front_end.oracle_parameters())
        assert np.abs(ours - wanted).max() <= 1e-5 * wanted.max()


@pytest.mark.parametrize(
    ("description", "word"),
    [
        ({**STFT, "kind": "sft"}, "stft"),
        ({**STFT, "window": "hann_periodic"}, "hann_periodic"),
        ({**STFT, "value": "power"}, "power"),
        ({**STFT, "normalise": "windows"}, "window"),
    ],
)
def test_what_no_oracle_knows_is_refused(description: dict[str, object], word: str) -> None:
    with pytest.raises(Unusable, match=word):
        oracle.features(noise(66150), description, {})


def test_a_learned_value_that_no_oracle_uses_is_refused() -> None:
    with pytest.raises(Unusable, match="gain"):
        oracle.features(noise(66150), STFT, {"gain": np.ones(1)})
