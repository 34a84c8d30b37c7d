"""What the microphone's callback does with clocks and overflows, and how a microphone is chosen and PortAudio named."""

from __future__ import annotations

import numpy as np
import pytest

from xfer.runtime.errors import NotThere
from xfer.runtime.sources.microphone import RING_SECONDS, Intake
from xfer.runtime.sources.portaudio import MicrophoneInfo, choose_microphone, package_line

RATE = 1_000
FRAMES = np.zeros((100, 2), np.float32)


def losses(*calls: tuple[float, bool]) -> list[int]:
    """What is missing before each block: calls by the device's clock, and whether PortAudio says that it overflowed."""
    intake = Intake(RATE)
    for made, overflow in calls:
        intake.take(FRAMES, made, made + 0.1, overflow, 0.0)
    found = []
    while (block := intake.ring.get(0)) is not None:
        found.append(block[2])
    return found


def test_an_overflow_is_as_long_as_the_clock_says_and_never_nothing() -> None:
    assert losses((0.0, False), (0.1, False), (0.2, False)) == [0, 0, 0]
    assert losses((0.0, False), (0.35, True), (0.45, False)) == [0, 250, 0]
    assert losses((0.0, True), (0.1, True)) == [1, 1], "no clock tells how much: one, so that it is marked"
    assert losses((0.0, False), (0.0, True)) == [0, 1], "a device without a clock"


def test_a_clock_that_jumps_invents_no_loss() -> None:
    assert losses((0.0, False), (5_000.0, False), (5_000.1, False)) == [0, 0, 0]
    assert losses((0.0, False), (5_000.0, True)) == [0, 1]
    assert losses((1e9, False), (-1e9, True)) == [0, 1]


@pytest.mark.parametrize(
    ("current", "arrived"),
    [(0.1, 50.0), (0.3, 49.8), (0.05, 50.0), (99.0, 50.0), (-7.0, 50.0)],  # sane, late, from the future, set twice
)
def test_when_the_last_sample_was_made(current: float, arrived: float) -> None:
    intake = Intake(RATE)
    intake.take(FRAMES, 0.0, current, False, 50.0)
    block = intake.ring.get(0)
    assert block is not None
    assert block[1] == pytest.approx(arrived)


def test_the_callback_keeps_a_copy_and_the_ring_its_bound() -> None:
    intake = Intake(RATE)
    frames = FRAMES.copy()
    for number in range(300):
        frames[:] = number
        intake.take(frames, number / 10, number / 10, False, 0.0)
    assert intake.ring.held <= RING_SECONDS * RATE
    block = intake.ring.get(0)
    assert block is not None
    assert (block[0] == 200).all()
    assert block[2] == 20_000


def found(index: int, name: str, default: bool = False, system: str = "ALSA") -> MicrophoneInfo:
    return MicrophoneInfo(index, name, 48_000, 2, default, system)


HERE = [
    found(0, "HDA Intel"),
    found(1, "USB Mic 2", system="MME"),
    found(2, "USB Mic"),
    found(4, "default", True),
    found(5, "USB Mic 2"),
]


@pytest.mark.parametrize(
    ("wanted", "index"),
    [(None, 4), ("0", 0), ("4", 4), ("usb mic", 2), ("USB Mic 2", 5), ("Mic 2", 5), ("hda", 0), ("mic", 2), (" 2 ", 2)],
)
def test_a_microphone_by_number_then_name_then_part_of_it(wanted: str | None, index: int) -> None:
    assert choose_microphone(wanted, HERE).index == index


@pytest.mark.parametrize("wanted", ["3", "", "webcam", "USB Mic 22"])
def test_one_that_is_not_here(wanted: str) -> None:
    with pytest.raises(NotThere, match="here are: 0 'HDA Intel'"):
        choose_microphone(wanted, HERE)
    with pytest.raises(NotThere, match="connect one"):
        choose_microphone(wanted, [])


@pytest.mark.parametrize(
    ("system", "release", "line"),
    [
        ("Linux", 'ID=debian\nVERSION_ID="12"', "apt-get install libportaudio2"),
        ("Linux", "ID=raspbian\nID_LIKE=debian", "apt-get install libportaudio2"),
        ("Linux", 'ID="opensuse-tumbleweed"\nID_LIKE="opensuse suse"', "zypper install libportaudio2"),
        ("Linux", 'ID="rocky"\nID_LIKE="rhel centos fedora"', "dnf install portaudio"),
        ("Linux", "ID=alpine", "apk add portaudio"),
        ("Linux", "ID=manjaro\nID_LIKE=arch", "pacman -S portaudio"),
        ("Linux", "ID=whatever", "(Debian, Ubuntu)"),
        ("Linux", "", "(Debian, Ubuntu)"),
        ("Darwin", None, "brew install portaudio"),
    ],
)
def test_the_package_of_this_system(system: str, release: str | None, line: str) -> None:
    assert line in package_line(system, release)
