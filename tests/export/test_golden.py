"""Golden clips and the probe of an export: the checkpoint's own answers, at the places that the graph gathers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.export.nets import RATE, WINDOW, small_checkpoint
from tests.recordings import recordings
from xfer.export import oracle
from xfer.export.describe import card_of
from xfer.export.formats import FORMS, Form, form_of
from xfer.export.golden import LARGEST, golden_clips, why_not
from xfer.export.parity import Reference
from xfer.export.pipeline import export
from xfer.runtime.audio import load
from xfer.runtime.card import Card
from xfer.runtime.engines import PROBE, Array, open_engine, read_golden
from xfer.runtime.selftest import golden_of
from xfer.runtime.selftest.golden import RECORDED, to_text
from xfer.runtime.selftest.probe import probe_places

each_form = pytest.mark.parametrize(
    "form", [form for form in FORMS if form.precision == "fp32"], ids=lambda form: f"{form.format}-{form.precision}"
)


def real_windows() -> dict[str, Array]:
    """Four windows of speech, from LibriSpeech."""
    files = sorted(recordings("libri_vctk_layout").rglob("*.flac"))[:40:10]
    return {file.name: load(file, RATE).samples[8000 : 8000 + WINDOW] for file in files}


@each_form
def test_what_travels_is_the_checkpoints_own_answer(form: Form, tmp_path: Path) -> None:
    """Torch's answers to the last bit, on eight inputs, and the file is within its limits of them."""
    checkpoint = small_checkpoint(tmp_path / "run")
    exported = export(checkpoint, tmp_path / "models", form.format, clips=real_windows())
    golden = golden_of(exported.path, exported.card)
    assert len(golden.clips) == 8
    assert golden.recorded == 4
    assert golden.licence == exported.card.licence == "MIT"
    assert len(read_golden(exported.path) or "") < LARGEST
    for clip in golden.clips:
        with torch.no_grad():
            logits, embedding = checkpoint.net(torch.from_numpy(clip.samples)[None])
        np.testing.assert_array_equal(clip.expected.logits, logits[0].numpy())
        np.testing.assert_array_equal(clip.expected.embedding, embedding[0].numpy())
        assert clip.expected.label == checkpoint.labels[int(logits[0].argmax())]
    for (name, heard), clip in zip(real_windows().items(), golden.clips[-4:], strict=True):
        assert clip.kind == RECORDED
        assert clip.name == f"real: {name}"
        assert np.abs(clip.samples - heard).max() <= 0.5 / 32768 + 1e-9


def test_no_recording_travels_where_none_shall(tmp_path: Path) -> None:
    """Parity hears them all the same."""
    exported = export(small_checkpoint(tmp_path / "run"), tmp_path / "models", clips=real_windows(), recorded=False)
    golden = golden_of(exported.path, exported.card)
    assert (len(golden.clips), golden.recorded) == (8, 0)
    assert exported.card.parity["real_inputs"] == 4


@each_form
@pytest.mark.parametrize("kind", ["stft", "sinc"])
def test_the_probe_is_the_front_end_at_its_places(kind: str, form: Form, tmp_path: Path) -> None:
    """Of the stored answers and of the graph, against the float64 oracle, in a batch of three."""
    checkpoint = small_checkpoint(tmp_path / "run", kind)
    exported = export(checkpoint, tmp_path / "models", form.format)
    engine = open_engine(exported.path)
    clips = golden_of(exported.path, exported.card).clips
    (probe,) = engine.read(np.stack([clip.samples for clip in clips[:3]]), [PROBE])
    for clip, found in zip(clips[:3], probe, strict=True):
        parameters = checkpoint.net.frontend.oracle_parameters()
        truth = oracle.features(clip.samples, exported.card.frontend, parameters)
        places = probe_places(truth.size)
        limit = 1e-5 * np.abs(truth).max()
        assert found.shape == (256,)
        assert clip.expected.probe is not None
        np.testing.assert_allclose(found, truth.reshape(-1)[places], atol=limit)
        np.testing.assert_allclose(clip.expected.probe, truth.reshape(-1)[places], atol=limit)
        assert clip.expected.peak == pytest.approx(np.abs(truth).max(), rel=1e-4)


def card(folder: Path, licence: str, attribution: str = "") -> tuple[Card, Reference]:
    checkpoint = small_checkpoint(folder)
    made = card_of(checkpoint, "a", form_of("onnx", "fp32"))
    made = replace(made, licence=licence, data=made.data | {"attribution": attribution})
    return made, Reference(checkpoint.net)


@pytest.mark.parametrize(
    ("licence", "attribution", "allowed"),
    [
        ("CC BY 4.0", "somebody", True),
        ("CC-BY-SA 4.0", "somebody", True),
        ("cc by-sa 3.0", "somebody", True),
        ("CC0 1.0", "", True),
        ("Public Domain", "", True),
        ("MIT", "", True),
        ("Apache-2.0", "", True),
        ("same as xfer", "", True),
        ("CC BY 4.0", "", False),  # it wants somebody named
        ("CC BY-NC 3.0", "somebody", False),
        ("CC BY-NC-SA 4.0", "somebody", False),
        ("CC BY-ND 4.0", "somebody", False),
        ("CC Sampling+ 1.0", "somebody", False),
        ("MIT or CC BY-NC 3.0", "somebody", False),
        ("CC BY 4.0, non-commercial use only", "somebody", False),
        ("Apache-2.0, no derivatives", "", False),
        ("mitred", "", False),
        ("all rights reserved", "", False),
        ("unknown", "", False),
        ("", "", False),
        ("not public domain", "", False),
    ],
)
def test_sound_travels_only_where_its_licence_allows_copies(
    tmp_path: Path, licence: str, attribution: str, allowed: bool
) -> None:
    described, reference = card(tmp_path, licence, attribution)
    window = np.random.default_rng(1).normal(0, 0.1, WINDOW).astype(np.float32)
    golden, said = golden_clips(reference, described, {"private.wav": window})
    assert len(golden.clips) == 8
    assert golden.recorded == (1 if allowed else 0)
    assert (why_not(described) == "") == allowed
    assert ("private" in to_text(golden, RATE)) == allowed
    assert "licence of the data" in said or allowed


def test_what_would_be_too_large_stays_out(tmp_path: Path) -> None:
    """Full-scale noise hardly packs: of such windows only those travel that fit into 1 MB."""
    described, reference = card(tmp_path, "MIT")
    rng = np.random.default_rng(1)
    clips = {f"{k}": rng.uniform(-1, 1, WINDOW).astype(np.float32) for k in range(4)}
    golden, _ = golden_clips(reference, described, clips)
    assert golden.recorded == 4

    class Wide(Reference):
        """The same net with an embedding of 30,000 values, as nobody has."""

        def run(self, windows: Array):  # type: ignore[no-untyped-def]
            found = super().run(windows)
            return found._replace(embedding=np.ones((1, 30_000), np.float32))

    fewer, said = golden_clips(Wide(reference.net), described, clips)
    assert len(to_text(fewer, RATE)) < LARGEST
    assert 0 < len(fewer.clips) < 8
    assert fewer.recorded < 4 or "by formula" not in said
