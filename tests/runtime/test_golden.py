"""Golden clips: what goes into a model file comes out, and what is damaged is refused."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.runtime.tiny import RATE, WINDOW, tiny_card, write_tiny, write_tiny_openvino
from xfer.runtime.engines import read_golden
from xfer.runtime.errors import Unusable
from xfer.runtime.selftest.compare import Answer
from xfer.runtime.selftest.formula import formula_inputs
from xfer.runtime.selftest.golden import FORMULA, RECORDED, Golden, GoldenClip, from_text, to_flac, to_text

CARD = tiny_card()
HERE = Path("a.onnx")


def clip(samples: np.ndarray, kind: str = RECORDED, name: str = "real: a") -> GoldenClip:
    scores = np.float32([0.1, 0.2, 0.7])
    probe = np.linspace(-1, 1, 256, dtype=np.float32)
    return GoldenClip(name, kind, samples, Answer(scores, np.log(scores), np.float32([1, 2, 3]), "high", probe, 1.5))


def whole() -> Golden:
    samples = (np.random.default_rng(1).integers(-20_000, 20_000, WINDOW) / 32768).astype(np.float32)
    chirp = formula_inputs(WINDOW, RATE)["chirp"]
    return Golden((clip(chirp, FORMULA, "chirp"), clip(samples)), "CC BY 4.0", "somebody")


def test_what_goes_in_comes_out() -> None:
    before = whole()
    after = from_text(to_text(before, RATE), CARD, HERE)
    assert (after.licence, after.attribution, after.recorded) == ("CC BY 4.0", "somebody", 1)
    for old, new in zip(before.clips, after.clips, strict=True):
        assert (old.name, old.kind, old.expected.label) == (new.name, new.kind, new.expected.label)
        for name in ("scores", "logits", "embedding", "probe"):
            np.testing.assert_array_equal(getattr(old.expected, name), getattr(new.expected, name))
        np.testing.assert_array_equal(old.samples, new.samples)
        assert new.expected.peak == 1.5


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([8_000, 16_000, 22_050, 44_100]), st.integers(1, 32_768))
def test_flac_keeps_every_sample(seed: int, rate: int, loud: int) -> None:
    """Against libsndfile's own reading, for any 16-bit sound, full scale included."""
    pcm = np.random.default_rng(seed).integers(-loud, loud, 1_000).astype(np.int16)
    pcm[:2] = -32768, 32767
    flac = to_flac(pcm.astype(np.float32) / 32768, rate)
    assert flac.startswith(b"fLaC")
    found, at = soundfile.read(io.BytesIO(flac), dtype="int16")
    np.testing.assert_array_equal(found, pcm)
    assert at == rate


def change(**fields: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda document: document["clips"][1].update(fields)


def packed(values: list[float]) -> str:
    return base64.b64encode(np.float32(values).tobytes()).decode()


DAMAGE: dict[str, Callable[[dict[str, Any]], Any]] = {
    "no clips": lambda document: document["clips"].clear(),
    "another form": lambda document: document.update(clips=3),
    "a newer version": lambda document: document.update(version=2),
    "no licence": lambda document: document.pop("licence"),
    "no kind": lambda document: document["clips"][1].pop("kind"),
    "an unknown kind": change(kind="sung"),
    "an unknown formula": change(kind=FORMULA, name="a whistle"),
    "no flac": lambda document: document["clips"][1].pop("flac"),
    "flac of text": change(flac=base64.b64encode(b"text").decode()),
    "flac of nothing": change(flac=""),
    "no base64": change(flac="fLaC!"),
    "a number as flac": change(flac=3),
    "other sound": change(flac=base64.b64encode(to_flac(np.zeros(WINDOW, np.float32), RATE)).decode()),
    "shorter sound": change(flac=base64.b64encode(to_flac(np.zeros(WINDOW - 1, np.float32), RATE)).decode()),
    "another rate": change(flac=base64.b64encode(to_flac(whole().clips[1].samples, 8_000)).decode()),
    "too few scores": change(scores=packed([0.5, 0.5])),
    "half a number": change(logits=base64.b64encode(b"\0" * 11).decode()),
    "no number": change(embedding=packed([1, 2, float("nan")])),
    "an infinite probe": change(probe=packed([float("inf")] * 256)),
    "an empty probe": change(probe=""),
    "no peak": lambda document: document["clips"][1].pop("peak"),
    "a peak in words": change(peak="loud"),
    "an unknown label": change(decision="nobody"),
    "another hash": change(sha256="0" * 64),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_clips_are_refused_in_one_sentence(damage: str) -> None:
    document = json.loads(to_text(whole(), RATE))
    DAMAGE[damage](document)
    with pytest.raises(Unusable, match=r"a\.onnx: its golden clips") as refused:
        from_text(json.dumps(document), CARD, HERE)
    assert len(str(refused.value)) < 400
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("text", ["", "text", "[]", "null", "3", '{"version": 1}', "[" * 100_000])
def test_what_are_no_clips_is_refused(text: str) -> None:
    with pytest.raises(Unusable, match="golden clips"):
        from_text(text, CARD, HERE)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_flac_that_is_cut_off_is_refused(share: float) -> None:
    document = json.loads(to_text(whole(), RATE))
    flac = base64.b64decode(document["clips"][1]["flac"])
    document["clips"][1]["flac"] = base64.b64encode(flac[: int(len(flac) * share)]).decode()
    with pytest.raises(Unusable, match="golden clips"):
        from_text(json.dumps(document), CARD, HERE)


def test_both_formats_carry_the_same_clips(tmp_path: Path) -> None:
    one, other = write_tiny(tmp_path / "a.onnx"), write_tiny_openvino(tmp_path / "a.openvino")
    texts = [read_golden(path) for path in (one, other)]
    assert texts[0]
    assert texts[0] == texts[1]
