"""Each effect against the same thing computed elsewhere: numpy, scipy, soxr and librosa in float64."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
import scipy.signal
import scipy.stats
import soxr
import torch

from tests.recordings import recordings
from xfer.runtime.audio import load
from xfer.train.augment import AugmentRecipe
from xfer.train.augment.codec import at_rate, telephone, with_bits
from xfer.train.augment.draws import Draws
from xfer.train.augment.noise import Noise, added
from xfer.train.augment.response import POINTS, Response
from xfer.train.augment.room import Room, echoed
from xfer.train.augment.shift import Shift
from xfer.train.augment.spectrum import active_power as torch_active_power
from xfer.train.augment.spectrum import filtered, frequencies, transform_length
from xfer.train.augment.speed import Speed, at_speed, fitted
from xfer.train.data.background import active_power

RATE = 16_000
CPU = torch.device("cpu")


def draws(windows: int, name: str = "test") -> Draws:
    return Draws.derived(windows, 3, 1, 4, name)


def decibel(share):
    return 10 * np.log10(share)


@pytest.fixture(scope="module")
def speech() -> torch.Tensor:
    """Three real recordings, (3, 24000), of very different level."""
    paths = sorted(recordings("debian_voices").rglob("*.flac"))
    chosen = [load(path, RATE).samples for path in paths[:: len(paths) // 40]]
    windows = [samples[:24_000] for samples in chosen if len(samples) >= 24_000][:3]
    return torch.from_numpy(np.stack(windows)) * torch.tensor([[1.0], [0.01], [0.3]])


def tone(hertz: float, count: int = 16_000, rate: int = RATE) -> torch.Tensor:
    return torch.from_numpy(np.sin(2 * np.pi * hertz * np.arange(count) / rate).astype(np.float32))[None]


def amplitude(wave: torch.Tensor, hertz: float, rate: int = RATE) -> float:
    """Of a sine in the middle of a wave."""
    middle = wave[0].double().numpy()[2000:-2000]
    turning = np.exp(-2j * np.pi * hertz * np.arange(len(middle)) / rate) * np.hanning(len(middle))
    return float(2 * abs(middle @ turning) / np.hanning(len(middle)).sum())


def test_noise_lies_as_far_below_as_it_says(speech):
    how = AugmentRecipe(noise_snr_db=(-5.0, 40.0))
    effect = Noise.draw(how, draws(3), RATE)
    noise = (effect.apply(speech) - speech).double().numpy()
    for row, wanted in enumerate(effect.snr_db.tolist()):
        measured = decibel(active_power(speech[row].numpy(), RATE) / np.mean(noise[row] ** 2))
        assert measured == pytest.approx(wanted, abs=0.05), row


def test_levels_are_measured_as_the_data_measures_them(speech):
    place = torch.zeros(3, 40_000)
    place[:, 9000:33_000] = speech
    expected = [active_power(row.numpy(), RATE) for row in place]
    assert torch_active_power(place, RATE).numpy() == pytest.approx(expected, rel=1e-5)


def test_noise_has_the_colour_that_it_says():
    effect = Noise(torch.zeros(5), torch.linspace(0, 2, 5), RATE, draws(5))
    noise = effect.coloured(20 * RATE, CPU).double().numpy()
    hertz, power = scipy.signal.welch(noise, RATE, nperseg=4096)
    band = (hertz > 50) & (hertz < 7000)
    for row, tilt in enumerate(effect.tilt.tolist()):
        slope = np.polyfit(np.log(hertz[band]), np.log(power[row, band]), 1)[0]
        assert slope == pytest.approx(-tilt, abs=0.08)
    assert np.abs(np.corrcoef(noise) - np.eye(5)).max() < 0.3  # five noises, not one


def test_an_echo_is_a_convolution_at_the_old_level(speech):
    effect = Room.draw(AugmentRecipe(), draws(3), RATE)
    responses = effect.responses(effect.longest, CPU)
    heard = echoed(speech, responses).double().numpy()
    for row in range(3):
        expected = scipy.signal.fftconvolve(speech[row].double().numpy(), responses[row].double().numpy())[:24_000]
        expected *= np.sqrt(np.mean(speech[row].double().numpy() ** 2) / np.mean(expected**2))
        assert np.abs(heard[row] - expected).max() < 1e-5 * np.abs(expected).max()
    assert torch.equal(effect.apply(speech), echoed(speech, responses))


def test_a_room_decays_and_answers_as_it_says():
    how = AugmentRecipe(room_t60_seconds=(0.2, 1.0), room_direct_db=(-6.0, 15.0))
    effect = Room.draw(how, draws(8), RATE)
    responses = effect.responses(effect.longest, CPU).double().numpy()
    for row, response in enumerate(responses):
        tail = response[1:] ** 2
        assert response[0] == 1.0
        assert decibel(1 / tail.sum()) == pytest.approx(float(effect.direct_db[row]), abs=0.01)
        # Schroeder's backward integration, read from -5 to -25 dB.
        left = decibel(np.cumsum(tail[::-1])[::-1] / tail.sum() + 1e-12)
        falls = (left < -5) & (left > -25)
        slope = np.polyfit(np.flatnonzero(falls) / RATE, left[falls], 1)[0]
        assert -60 / slope == pytest.approx(float(effect.t60_seconds[row]), rel=0.12)


def test_the_direct_sound_stays_where_it_was():
    click = torch.zeros(4, 8000)
    click[:, 1234] = 1.0
    heard = Room.draw(AugmentRecipe(room_direct_db=(3.0, 6.0)), draws(4), RATE).apply(click)
    assert heard.abs().argmax(dim=1).tolist() == [1234] * 4
    assert heard[:, :1234].abs().max() < 1e-6


@pytest.mark.parametrize(("speed", "up", "down"), [(0.9, 9, 10), (1.1, 11, 10), (0.85, 17, 20)])
def test_speed_is_resampling(speech, speed, up, down):
    # Without what lies where one filter still passes and the other no longer does.
    sections = scipy.signal.butter(12, 5000, fs=RATE, output="sos")
    clean = scipy.signal.sosfiltfilt(sections, speech.double().numpy()).copy()
    found = at_speed(torch.from_numpy(clean).float(), speed).double().numpy()
    for row in range(3):
        expected = soxr.resample(clean[row], up, down, quality="VHQ")
        assert abs(len(found[row]) - len(expected)) <= 1
        inside = slice(200, len(expected) - 200)
        error = np.sqrt(np.mean((found[row, inside] - expected[inside]) ** 2))
        assert error < 1e-3 * np.sqrt(np.mean(expected**2))


def test_a_faster_tone_is_higher_by_as_much():
    for speed in (0.8, 0.9, 1.1, 1.25):
        effect = Speed(torch.tensor([0]), (speed,), torch.tensor([0.5]))
        changed = effect.apply(tone(1000.0))
        assert changed.shape == (1, 16_000)
        part = changed[0, : int(16_000 / max(speed, 1))].double().numpy()
        hertz = np.argmax(np.abs(np.fft.rfft(part * np.hanning(len(part)), 2**18))) * RATE / 2**18
        assert hertz == pytest.approx(1000.0 * speed, abs=0.5)


def test_what_became_shorter_is_repeated_and_what_became_longer_is_cut():
    wave = torch.arange(10.0)[None]
    assert fitted(wave[:, :4], 10, torch.tensor([0.3]))[0].tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]
    starts = [fitted(wave, 7, torch.tensor([place]))[0, 0].item() for place in (0.0, 0.26, 0.6, 0.99, 1.0)]
    assert starts == [0, 1, 2, 3, 3]


@pytest.mark.parametrize("samples", [0, 1, 5, -1, -5, 9, 10, -10, 12, -400])
def test_a_shift_brings_silence(samples):
    wave = np.arange(1.0, 11.0, dtype=np.float32)
    padded = np.concatenate([np.zeros(500), wave, np.zeros(500)])
    expected = padded[500 - samples : 510 - samples]
    found = Shift(torch.tensor([samples, 0]), RATE).apply(torch.from_numpy(np.stack([wave, wave])))
    assert found[0].tolist() == expected.tolist()
    assert found[1].tolist() == wave.tolist()


def test_a_response_is_its_curve():
    how = AugmentRecipe(response_high_hz=(2500.0, 7000.0))
    effect = Response.draw(how, draws(6), RATE)
    hertz = np.linspace(60, 7990, 500)
    found = effect.gains(torch.from_numpy(hertz).float()).double().numpy()
    points = 60.0 * (RATE / 2 / 60.0) ** (np.arange(POINTS) / (POINTS - 1))
    for row in range(6):
        curve = np.interp(np.log(hertz), np.log(points), effect.points_db[row].numpy())
        low, high = float(effect.low_hz[row]), float(effect.high_hz[row])
        edges = [scipy.signal.butter(order, at, kind, analog=True) for order, at, kind in
                 ((2, low, "highpass"), (4, high, "lowpass"))]  # fmt: skip
        gain = 10 ** (curve / 20) * np.prod([np.abs(scipy.signal.freqs(*edge, hertz)[1]) for edge in edges], axis=0)
        assert np.abs(found[row] / gain - 1).max() < 1e-3
    assert effect.gains(torch.zeros(1)).abs().max() < 1e-6  # nothing at 0 Hz


def test_an_edge_beyond_half_the_rate_is_none():
    effect = Response(torch.tensor([1.0]), torch.tensor([9000.0]), torch.zeros(1, POINTS), RATE)
    gains = effect.gains(torch.tensor([100.0, 4000.0, 8000.0]))
    assert gains.flatten().tolist() == pytest.approx([1.0, 1.0, 1.0], abs=1e-6)


def test_filters_do_not_delay_and_do_not_wrap_around():
    click = torch.zeros(1, 5000)
    click[0, 4000] = 1.0
    length = transform_length(5000, RATE)
    gains = (frequencies(length, RATE, CPU) < 3000).float()[None]
    heard = filtered(click, gains, length)
    assert int(heard.abs().argmax()) == 4000
    assert torch.allclose(heard[0, 3901:4000].flip(0), heard[0, 4001:4100], atol=1e-6)
    late = torch.zeros(1, 5000)
    late[0, 4999] = 1.0
    assert filtered(late, gains, length)[0, :1000].abs().max() < 1e-3


def test_a_lower_rate_passes_what_is_below_its_half_and_nothing_above():
    rates = torch.tensor([6000.0])
    for hertz in (200.0, 1500.0, 2600.0):
        assert amplitude(at_rate(tone(hertz), rates, RATE), hertz) == pytest.approx(1.0, abs=2e-3)
    for hertz in (3050.0, 5000.0, 7500.0):
        assert amplitude(at_rate(tone(hertz), rates, RATE), hertz) < 1e-4
    wave = torch.randn(1, 1000)
    assert torch.equal(at_rate(wave, torch.tensor([16_000.0]), RATE), wave)


@pytest.mark.parametrize("bits", [2, 5, 8, 16])
def test_few_bits_are_few_levels(speech, bits):
    found = with_bits(speech, torch.full((3,), float(bits)))
    for row in range(3):
        peak = float(speech[row].abs().max())
        step = peak / (2 ** (bits - 1) - 1)
        assert len(found[row].unique()) <= 2**bits
        error = (found[row] - speech[row]).abs().max()
        assert error <= 0.5 * step * 1.01
        assert float(found[row].abs().max()) == pytest.approx(peak, rel=1e-5)


def test_the_telephone_is_mu_law(speech):
    loud = speech / speech.abs().amax(dim=1, keepdim=True)
    band = at_rate(loud, torch.full((3,), 8000.0), RATE)
    found = telephone(loud, RATE)
    for row in range(3):
        # librosa counts 256 levels round zero; the standard has 127 on either side.
        full = max(1.0, float(band[row].abs().max()))
        code = librosa.mu_compress(band[row].double().numpy() / full, mu=255, quantize=False)
        decoded = full * librosa.mu_expand(np.round(code * 127) / 127, mu=255, quantize=False)
        expected = at_rate(torch.from_numpy(decoded).float()[None], torch.tensor([8000.0]), RATE)[0]
        assert (found[row] - expected).abs().max() < 2e-3  # a code at the border between two steps may fall either way
        assert (found[row] - expected).square().mean().sqrt() < 2e-5
    noise = (found - band).square().mean(dim=1) / band.square().mean(dim=1)
    assert (decibel(noise.numpy()) < -33).all()  # what eight bits of mu-law are known for
    assert (decibel(noise.numpy()) > -48).all()


def test_silence_stays_silence_where_a_level_is_divided_by():
    silence = torch.zeros(2, 800)
    assert added(silence, torch.randn(2, 800), torch.zeros(2), RATE).abs().max() == 0
    assert echoed(silence, torch.ones(2, 10)).abs().max() == 0
    assert with_bits(silence, torch.tensor([5.0, 5.0])).abs().max() == 0
