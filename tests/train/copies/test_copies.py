"""Copies of one sound are found whatever was done to them, and nothing else is called one."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.recordings import recordings
from xfer.runtime.audio import Samples, decode, resample
from xfer.train.data.copies import find_copies, fingerprint
from xfer.train.data.copies.alike import likeness, prepare
from xfer.train.data.copies.candidates import NEIGHBOURS, PAIRS_A_CLIP, SAME_OFFSET, candidates
from xfer.train.data.copies.find import one_sound
from xfer.train.data.copies.prints import CODES, Print

Sound = tuple[Samples, int]
RATE = 16_000


def found(sounds: list[Sound]) -> list[tuple[int, ...]]:
    return find_copies([fingerprint(*sound) for sound in sounds], sounds.__getitem__)


def same(one: Sound, other: Sound) -> bool:
    return one_sound(likeness(prepare(*one), prepare(*other)))


def melody(seed: int, seconds: float = 3.0, rate: int = RATE) -> Samples:
    """Gliding tones over noise that comes and goes: a sound of its own for each seed."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * rate)) / rate
    knots = np.linspace(0, seconds, round(seconds * 6) + 2)
    pitch = np.interp(t, knots, rng.uniform(200, 1500, len(knots)))
    loud = np.interp(t, knots, rng.uniform(0.1, 1, len(knots)))
    tone = sum(np.sin(2 * np.pi * k * np.cumsum(pitch) / rate) / k for k in (1, 2, 3))
    return (0.1 * loud * (tone + rng.normal(0, 0.3, len(t)))).astype(np.float32)


@pytest.fixture(scope="module")
def digits() -> list[Sound]:
    """48 takes: one, two, three, 16 of each by one speaker."""
    root = recordings("spoken_digits")
    rows = [line.split(",") for line in (root / "speakers.csv").read_text().splitlines()[1:]]
    paths = [root / path for path, who in rows if who == "jackson" and path.split("/")[0] in ("one", "two", "three")]
    assert len(paths) == 48
    return [(recording.samples, recording.rate) for recording in map(decode, paths)]


CHANGES: dict[str, Callable[[Sound], Sound]] = {
    "copied": lambda s: s,
    "halved": lambda s: ((np.round(s[0] * 16384) / 32768).astype(np.float32), s[1]),
    "shifted": lambda s: (np.concatenate([np.zeros(640, np.float32), s[0][:-640]]), s[1]),
    "cut": lambda s: (s[0][1600:-1600], s[1]),
    "upside down": lambda s: (-s[0], s[1]),
    "at 8 kHz": lambda s: (resample(s[0], s[1], 8000), 8000),
    "at 44.1 kHz": lambda s: (resample(s[0], s[1], 44100), 44100),
    "odd shift": lambda s: (np.concatenate([np.zeros(1237, np.float32), s[0]]), s[1]),
}


def test_other_takes_by_one_speaker_are_no_copies(digits: list[Sound]) -> None:
    assert found(digits) == []


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_take_is_found_and_only_it(digits: list[Sound], change: str) -> None:
    copied = [5, 17, 33, 41]
    assert found(digits + [CHANGES[change](digits[index]) for index in copied]) == [
        (index, 48 + n) for n, index in enumerate(copied)
    ]


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 1000),
    st.floats(-30, 12),
    st.integers(0, 9000),
    st.integers(0, 9000),
    st.sampled_from([8000, 11025, 16000, 22050, 44100, 48000]),
    st.booleans(),
)
def test_gain_cuts_rate_and_sign_change_nothing(
    seed: int, decibels: float, off: int, off_end: int, rate: int, turned: bool
) -> None:
    sound = melody(seed)
    changed = sound[off : len(sound) - off_end] * np.float32(10 ** (decibels / 20) * (-1 if turned else 1))
    copy = (resample(changed, RATE, rate), rate)
    assert found([(melody(seed + 1), RATE), (sound, RATE), (melody(seed + 2), RATE), copy]) == [(1, 3)]


def test_the_lag_is_right_to_a_hundredth_of_a_millisecond() -> None:
    fine = melody(3, rate=64_000)
    one, other = resample(fine[6403:], 64_000, 8000), resample(fine, 64_000, 8000)
    seen = likeness(prepare(one, 8000), prepare(other, 8000))
    assert seen is not None
    assert seen.lag_seconds == pytest.approx(6403 / 64_000, abs=2e-5)


def test_a_loop_in_two_tracks_is_no_copy() -> None:
    loop = np.tile(melody(1, 0.5), 12)
    one, other = (loop + 2 * melody(seed, 6.0) for seed in (2, 3))
    assert not same((one, RATE), (other, RATE))
    # the loop alone, then another tune: half of the sound is common
    first, second = (np.concatenate([melody(1, 3.0), melody(seed, 3.0)]) for seed in (2, 3))
    assert not same((first, RATE), (second, RATE))


def test_two_cuts_that_share_less_than_most_are_no_copies() -> None:
    whole = melody(1, 7.0)
    for late in (RATE * 14 // 10, 2 * RATE, 3 * RATE):
        assert not same((whole[: 4 * RATE], RATE), (whole[late : late + 4 * RATE], RATE))
    assert same((whole[: 4 * RATE], RATE), (whole[RATE // 2 : RATE // 2 + 4 * RATE], RATE))


def test_what_sounds_in_the_rests_of_a_loop_counts() -> None:
    rests = np.arange(4 * RATE) % RATE < RATE // 2
    loop = np.where(rests, 0, melody(1, 4.0))
    filled = np.where(rests, melody(2, 4.0), loop)
    assert not same((loop, RATE), (filled, RATE))
    assert not same((filled, RATE), (loop, RATE))


@pytest.mark.parametrize("name", ["p516/p516_005", "p516/p516_008", "p522/p522_002"])
def test_a_cut_is_aligned_where_it_was_and_not_at_a_louder_vowel(name: str) -> None:
    recording = decode(recordings("debian_voices") / f"{name}.flac")
    off = round(0.15 * len(recording.samples))
    seen = likeness(prepare(recording.samples, recording.rate), prepare(recording.samples[off:-off], recording.rate))
    assert seen is not None
    assert seen.lag_seconds == pytest.approx(-off / recording.rate, abs=1e-4)
    assert one_sound(seen)


def test_one_note_at_two_times_is_no_copy() -> None:
    t = np.arange(3 * RATE) / RATE
    square = (0.3 * np.sign(np.sin(2 * np.pi * 440 * t))).astype(np.float32)
    assert not same((square[:20_000], RATE), (square[777:30_000], RATE))


def test_silence_has_no_print_and_no_copies() -> None:
    silence = np.zeros(RATE, np.float32)
    dither = (np.random.default_rng(0).integers(-1, 2, RATE) / 32768).astype(np.float32)
    for sound in (silence, dither, silence[:10]):
        assert fingerprint(sound, RATE) == b""
    assert found([(silence, RATE), (silence, RATE), (dither, RATE), (dither, RATE)]) == []
    assert likeness(prepare(silence, RATE), prepare(silence, RATE)) is None
    assert likeness(prepare(silence[:10], RATE), prepare(melody(1), RATE)) is None


def test_shared_background_is_no_copy(digits: list[Sound]) -> None:
    room = np.random.default_rng(0).normal(0, 0.01, RATE).astype(np.float32)
    assert found([(samples + room, rate) for samples, rate in digits[:16]]) == []


def test_copies_of_copies_are_one_group() -> None:
    sounds = [(melody(seed), RATE) for seed in range(3)]
    late: Samples = np.concatenate([np.zeros(500, np.float32), sounds[1][0]])
    assert found([*sounds, (late, RATE), (late * np.float32(0.1), RATE), (-sounds[0][0], RATE)]) == [(0, 5), (1, 3, 4)]


def test_a_short_file_inside_a_long_one_is_found() -> None:
    assert same((melody(5, 20.0)[100_000:140_000], RATE), (melody(5, 20.0), RATE))


def test_only_candidates_are_asked_for() -> None:
    sounds = [(melody(seed), RATE) for seed in range(20)] + [(melody(4), RATE)]
    asked: list[int] = []

    def samples(index: int) -> Sound:
        asked.append(index)
        return sounds[index]

    told: list[tuple[int, int]] = []
    prints = iter([fingerprint(*sound) for sound in sounds])
    assert find_copies(prints, samples, lambda done, of: told.append((done, of))) == [(4, 20)]
    assert {4, 20} <= set(asked)
    assert len(set(asked)) < len(sounds) * 0.6  # some share a code by chance
    assert told[-1][0] == told[-1][1] == len(told)


def test_what_samples_raises_passes_through() -> None:
    data = fingerprint(melody(1), RATE)

    def gone(_index: int) -> Sound:
        raise FileNotFoundError("gone")

    with pytest.raises(FileNotFoundError):
        find_copies([data, data], gone)


def test_a_print_is_small_and_survives_storing() -> None:
    data = fingerprint(melody(1, 30.0), RATE)
    assert len(data) <= 6 * CODES
    assert len(fingerprint(melody(1, 200.0), RATE)) <= 6 * CODES * 3
    assert Print.from_bytes(data).to_bytes() == data
    with pytest.raises(ValueError, match="no print"):
        Print.from_bytes(data[:-1])


def test_a_code_that_all_clips_share_stays_linear() -> None:
    """5,000 clips with one print: a chain of neighbours, not 12 million pairs; and the chain joins them all."""
    data = Print(np.arange(10, dtype=np.uint32), np.arange(10, dtype=np.uint16)).to_bytes()
    pairs = list(candidates([data] * 5000))
    assert len(pairs) <= 5000 * NEIGHBOURS
    assert {(i, i + 1) for i in range(4999)} <= {(low, high) for low, high, _ in pairs}
    assert all(votes == 10 for *_, votes in pairs)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_votes_are_those_of_counting_pair_by_pair(seed: int) -> None:
    """The sorted index against a double loop over small prints of few codes, none shared by more than NEIGHBOURS.

    Codes are single signs, so that all codes at one time are near.
    """
    rng = np.random.default_rng(seed)
    signs = np.uint32(1) << np.arange(32, dtype=np.uint32)
    prints = []
    for _ in range(NEIGHBOURS):
        at = np.sort(rng.integers(0, 4, 8).astype(np.uint16) * 16_384)
        prints.append(Print(rng.choice(signs, 8, replace=False), at))
    expected = {}
    for low, high in itertools.combinations(range(len(prints)), 2):
        held = [dict(zip(p.codes.tolist(), p.at.tolist(), strict=True)) for p in (prints[low], prints[high])]
        offsets = [(held[1][code] - held[0][code]) % 65_536 for code in held[0].keys() & held[1].keys()]
        votes = max((sum(0 <= o - p <= SAME_OFFSET for o in offsets) for p in offsets), default=0)
        if votes >= 2:
            expected[low, high] = votes
    found = {(low, high): votes for low, high, votes in candidates(p.to_bytes() for p in prints)}
    assert {pair: votes for pair, votes in found.items() if votes >= 2} == expected


def test_codes_at_one_time_must_be_near() -> None:
    rng = np.random.default_rng(0)
    at = (np.arange(40) * 50).astype(np.uint16)
    one = Print(rng.integers(0, 2**32, 40, dtype=np.uint32), at)
    chance = Print(np.concatenate([one.codes[:3], rng.integers(0, 2**32, 37, dtype=np.uint32)]), at + np.uint16(9))
    noisy = Print(
        one.codes ^ (np.uint32(0b10100001) << rng.integers(0, 24, 40, dtype=np.uint32)), at + np.uint16(65_000)
    )
    noisy.codes[:3] = one.codes[:3]
    assert candidates([one.to_bytes(), chance.to_bytes()]) == []
    assert candidates([one.to_bytes(), noisy.to_bytes()]) == [(0, 1, 3)]  # also where the times wrap


def test_chance_among_many_clips_is_bounded() -> None:
    """4,000 clips of one kind share codes at every offset: no more pairs are looked at than PAIRS_A_CLIP a clip."""
    rng = np.random.default_rng(0)
    prints = [
        Print(rng.integers(0, 300, 12, dtype=np.uint32), np.sort(rng.integers(0, 5, 12)).astype(np.uint16)).to_bytes()
        for _ in range(4000)
    ]
    found = candidates(prints)
    assert len(found) <= PAIRS_A_CLIP * len(prints)
    assert [votes for *_, votes in found] == sorted((votes for *_, votes in found), reverse=True)


def test_known_copies_among_real_recordings() -> None:
    """Two uploads of one fire to Freesound, encoded apart; the rest of that class is other fires."""
    paths = sorted((recordings("esc10") / "audio").glob("*-12.ogg"))
    sounds = [(recording.samples, recording.rate) for recording in map(decode, paths)]
    names = [path.name for path in paths]
    assert [tuple(names[i] for i in group) for group in found(sounds)] == [("2-28314-A-12.ogg", "2-30322-A-12.ogg")]


def test_workers_need_no_torch_and_no_scipy() -> None:
    code = "import sys, xfer.train.data.copies; sys.exit(any(m in sys.modules for m in ('torch', 'scipy', 'librosa')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
