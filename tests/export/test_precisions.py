"""float16 and int8: what stays in float32, what is calibrated, what the gate does, and whole exports in each form."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.export.nets import LABELS, WINDOW, settled
from tests.export.voices import fragile, sound, trained, voices, without_convolution
from xfer.export.clips import Recordings, windows_of
from xfer.export.describe import card_of
from xfer.export.fold import fold
from xfer.export.formats import FORMS, Form, form_of
from xfer.export.onnx import FEATURES, to_twin
from xfer.export.pipeline import export
from xfer.export.precisions import half, int8_onnx
from xfer.export.precisions.calibration import GAINS_DB, LEAST, at_level, at_levels, calibration
from xfer.export.precisions.equalise import NAME, SHARES, equalised, first_convolution
from xfer.export.precisions.scopes import products, stays_float
from xfer.runtime.engines import PROBE, Array, Engine, open_engine
from xfer.runtime.errors import AnswerIsNo, Unusable
from xfer.runtime.models import load_model
from xfer.runtime.selftest import verify
from xfer.train.checkpoint import Checkpoint
from xfer.train.nets import Net, create

onnx = pytest.importorskip("onnx", reason="export needs onnx: pip install 'xfer[export]'")

SMALLER = [form for form in FORMS if form.reducer]
each_smaller = pytest.mark.parametrize("form", SMALLER, ids=lambda form: f"{form.format}-{form.precision}")


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Recordings:
    return voices(tmp_path_factory.mktemp("voices"))


@pytest.fixture(scope="module")
def checkpoint(recordings: Recordings, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return trained(tmp_path_factory.mktemp("run"), recordings)


@pytest.fixture(scope="module")
def twin(checkpoint: Checkpoint) -> Any:
    return to_twin(fold(checkpoint.net))


@pytest.fixture(scope="module")
def windows(checkpoint: Checkpoint, recordings: Recordings) -> list[Array]:
    return calibration(list(windows_of(checkpoint, recordings, "train", LEAST).values()))


@pytest.fixture
def opened(checkpoint: Checkpoint, tmp_path: Path) -> Callable[..., Engine]:
    """A graph as an engine of ONNX Runtime."""
    form = form_of("onnx", "fp32")

    def open_graph(graph: Any, net: Net | None = None) -> Engine:
        asked = checkpoint if net is None else replace(checkpoint, net=net)
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.onnx"
        form.writer(graph, card_of(asked, "model", form), path)
        return open_engine(path, engine="onnxruntime")

    return open_graph


def types_in(model: Any) -> dict[str, int]:
    """The element type of every value, by its name."""
    inferred = onnx.shape_inference.infer_shapes(model)
    graph = inferred.graph
    values = {v.name: v.type.tensor_type.elem_type for v in (*graph.input, *graph.value_info, *graph.output)}
    return values | {each.name: each.data_type for each in graph.initializer}


def test_float16_leaves_front_end_head_and_outputs_alone(twin: Any) -> None:
    small = half.reduce(twin)
    types = types_in(small)
    floats = [node for node in small.graph.node if stays_float(node.name)]
    assert floats
    for node in floats:
        assert half.FLOAT16 not in [types.get(name) for name in (*node.input, *node.output)], node.name
    body = [node for node in small.graph.node if node.op_type == "Conv" and not stays_float(node.name)]
    assert body
    assert all(types[node.input[1]] == half.FLOAT16 for node in body)
    assert {types[output.name] for output in small.graph.output} == {half.FLOAT}


@pytest.mark.parametrize("module", [half, int8_onnx], ids=["half", "int8"])
@pytest.mark.parametrize("level", [0.3, 1e-3, 1e-5])
def test_the_front_end_is_the_same_to_the_bit(
    module: Any, level: float, twin: Any, windows: list[Array], opened: Callable[..., Engine]
) -> None:
    """Quiet sound too: in float16 the spectrum of noise at -100 dB would be gone. (In OpenVINO, whose optimiser orders
    float32 sums as it likes, parity holds the front-end to 1e-5.)"""
    small = module.reduce(twin, windows)
    window = (level * np.random.default_rng(0).normal(size=(1, WINDOW))).astype(np.float32)
    names = [PROBE, FEATURES]
    for found, wanted in zip(opened(small).read(window, names), opened(twin).read(window, names), strict=True):
        assert np.array_equal(found, wanted)
        assert np.abs(wanted).max() > 0


@pytest.mark.parametrize("module", [half, int8_onnx], ids=["half", "int8"])
def test_with_every_layer_kept_the_file_says_the_same_to_the_bit(
    module: Any, twin: Any, windows: list[Array], opened: Callable[..., Engine]
) -> None:
    """An empty list of layers once meant all of them to ONNX Runtime's quantizer."""
    kept = [node.name for node in twin.graph.node] if module is half else products(twin)
    small, plain = opened(module.reduce(twin, windows, kept)), opened(twin)
    for window in windows[:3]:
        for found, wanted in zip(small.run(window), plain.run(window), strict=True):
            assert np.array_equal(found, wanted)


def test_int8_weights_have_seven_bits_a_scale_a_channel_and_no_more_layers(twin: Any, windows: list[Array]) -> None:
    small = int8_onnx.reduce(twin, windows)
    constants = {each.name: onnx.numpy_helper.to_array(each) for each in small.graph.initializer}
    dequantized = {node.output[0]: node for node in small.graph.node if node.op_type == "DequantizeLinear"}
    quantized = [
        node for node in small.graph.node if node.op_type in ("Conv", "Gemm", "MatMul") and node.input[1] in dequantized
    ]
    assert [node.name for node in quantized] == products(twin)
    for node in quantized:
        values, scale, _zero = (constants[name] for name in dequantized[node.input[1]].input)
        assert values.dtype == np.int8
        assert int(np.abs(values.astype(int)).max()) <= 64  # two products of these and a byte fit sixteen bits
        assert scale.shape == (values.shape[0] if node.op_type == "Conv" else max(scale.shape),)


def test_levels_against_the_formula() -> None:
    window = np.linspace(-0.9, 0.9, 7, dtype=np.float32)
    for gain in GAINS_DB:
        wanted = np.array([min(1.0, max(-1.0, float(x) * 10 ** (gain / 20))) for x in window])
        assert np.allclose(at_level(window, gain), wanted, atol=1e-7)
    assert np.abs(at_level(window, 10.0)).max() == 1.0


def test_every_window_is_heard_at_every_level() -> None:
    heard = calibration([np.full(4, 0.1 + 0.001 * k, np.float32) for k in range(LEAST)])
    assert len(heard) == LEAST * len(GAINS_DB)
    assert {each.shape for each in heard} == {(1, 4)}
    named = at_levels({"a": np.full(4, 0.5, np.float32)})
    assert list(named) == ["a, -40 dB", "a, -20 dB", "a, +10 dB"]


def test_too_few_windows_are_counted_for_the_user(checkpoint: Checkpoint, tmp_path: Path) -> None:
    few = voices(tmp_path / "few", training=3, validation=2)
    with pytest.raises(Unusable, match=r"64 windows .* 15 were found"):
        export(checkpoint, tmp_path / "models", precision="int8", recordings=few)
    assert not list((tmp_path / "models").iterdir())


@each_smaller
def test_without_the_recordings_nothing_is_written(form: Form, checkpoint: Checkpoint, tmp_path: Path) -> None:
    with pytest.raises(Unusable, match="recordings of the run"):
        export(checkpoint, tmp_path / "models", form.format, form.precision)
    assert not list((tmp_path / "models").iterdir())


@each_smaller
def test_the_test_side_is_never_heard(
    form: Form, checkpoint: Checkpoint, recordings: Recordings, tmp_path: Path
) -> None:
    """A clip that may not be opened is put on the test side."""
    poison = replace(recordings.data.clips[0], path=tmp_path / "never.wav", split="test", group="never")
    guarded = Recordings(recordings.data.with_clips((*recordings.data.clips, poison)), recordings.waves)
    assert export(checkpoint, tmp_path, form.format, form.precision, recordings=guarded).card.parity["gate"]["passed"]


@each_smaller
def test_a_whole_export(form: Form, checkpoint: Checkpoint, recordings: Recordings, tmp_path: Path) -> None:
    clips = windows_of(checkpoint, recordings, "validation", 8)
    told: list[str] = []
    exported = export(
        checkpoint, tmp_path, form.format, form.precision, clips=clips, progress=told.append, recordings=recordings
    )
    assert exported.path.name == f"speaker.{form.precision}.{form.format}"
    model = load_model(exported.path)
    assert verify(model).equal
    card = model.card
    assert (card.precision, card.format) == (form.precision, form.format)
    gate = card.parity["gate"]
    assert gate["passed"]
    assert gate["clips"] == len(recordings.data.of("validation"))
    assert gate["before"] > 0.8 * gate["clips"]  # else the gate would have nothing to lose
    stored = json.loads((checkpoint.path.parent / f"parity-{form.format}-{form.precision}.json").read_text())
    heard = {row["input"] for row in stored["rows"]}
    levels = [name for name in heard if name.endswith((", -40 dB", ", -20 dB", ", +10 dB"))]
    assert bool(levels) == form.calibrated
    assert any("gate" in line or "validation clips right before" in line for line in told)
    if form == form_of("onnx", "int8"):  # OpenVINO makes other sums of ONNX Runtime's quantizers
        with pytest.raises(Unusable, match="onnxruntime"):
            open_engine(exported.path, engine="openvino")
    # What a listener hears on unseen sound of each voice.
    rng = np.random.default_rng(77)
    fresh = [(voice, sound(voice, rng)) for voice in range(len(LABELS)) for _ in range(4)]
    right = [int(model.run(wave[None]).scores.argmax()) == voice for voice, wave in fresh]
    assert np.mean(right) >= 0.9


def test_bands_are_made_equal_and_the_sums_stay(opened: Callable[..., Engine]) -> None:
    net = settled(create("convnet", len(LABELS)))
    windows = [np.random.default_rng(seed).normal(0, 0.1, (1, net.window)).cumsum(1) / 50 for seed in range(4)]
    windows = [window.astype(np.float32) for window in windows]
    with torch.inference_mode():
        spectra = [net.frontend(torch.from_numpy(window))[0, 0].numpy() for window in windows]
    loudest = np.max([spectrum.max(axis=0) for spectrum in spectra], axis=0)
    twin = to_twin(fold(net))
    first = first_convolution(twin, products(twin))
    for share in SHARES:
        even = equalised(twin, first.name, loudest, share)
        ours, theirs = opened(even, net), opened(twin, net)
        for window in windows:
            for found, wanted in zip(ours.run(window), theirs.run(window), strict=True):
                assert np.allclose(found, wanted, atol=1e-4 * max(1.0, np.abs(wanted).max()))
        weight = {each.name: onnx.numpy_helper.to_array(each) for each in even.graph.initializer}
        scale = 1 / weight[NAME].ravel()
        assert np.ptp(np.log(loudest / scale)) < 0.7 * np.ptp(np.log(loudest))
        assert stays_float(NAME)


def test_what_is_no_convolution_is_not_evened(twin: Any) -> None:
    assert first_convolution(twin, products(twin)).op_type == "Conv"
    assert first_convolution(twin, products(twin)[1:]) is None
    assert first_convolution(twin, []) is None


@pytest.mark.parametrize("form", [form for form in SMALLER if form.calibrated], ids=lambda form: form.format)
def test_a_layer_that_hurts_is_put_back_and_named(
    form: Form, recordings: Recordings, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    told: list[str] = []
    exported = export(
        fragile(checkpoint), tmp_path, form.format, form.precision, progress=told.append, recordings=recordings
    )
    if form.format == "openvino":  # no linear layer of it is int8
        assert exported.card.parity["put_back"] == []
        return
    assert exported.card.parity["put_back"] == ["/embed/Gemm"]
    assert any(line.startswith("putting back to float32") for line in told)


def test_a_gate_that_is_missed_writes_no_file_and_says_what_was_lost(
    recordings: Recordings, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    older = tmp_path / "speaker.int8.onnx"
    older.write_bytes(b"older")
    wrong = fragile(trained(tmp_path_factory.mktemp("run"), recordings, without_convolution()))
    with pytest.raises(AnswerIsNo, match=r"int8 loses too much: .* validation clips right before") as caught:
        export(wrong, tmp_path, "onnx", "int8", recordings=recordings)
    assert "older" in str(caught.value)
    assert older.read_bytes() == b"older"
    assert [path.name for path in tmp_path.iterdir()] == [older.name]


def turned_kernel(graph: Any) -> None:
    """A layer's filters in another order."""
    _changed(graph, "conv", lambda values: values[::-1].copy())


def wrong_step(graph: Any) -> None:
    """A quantizer's step four times too large on its way back."""
    _changed(graph, "conv", lambda values: 4 * values if values.dtype == np.float32 else values)


def other_front_end(graph: Any) -> None:
    """The spectrum a thousandth too loud."""
    product = next(node for node in graph.graph.node if "/frontend" in node.name and node.op_type in ("Conv", "MatMul"))
    _replaced(graph, lambda name: name in product.input[:2], lambda values: np.float32(1.001) * values)


def _changed(graph: Any, layer: str, change: Callable[[Any], Any]) -> None:
    """Change the weights of a layer: float32, or the bytes and the steps that they are multiplied with."""
    conv = next(node for node in graph.graph.node if node.op_type == "Conv" and f"/{layer}/" in node.name)
    back = [node for node in graph.graph.node if node.output[0] == conv.input[1]]
    names = back[0].input[:2] if back else conv.input[1:2]
    _replaced(graph, lambda name: name in names, change)


def _replaced(graph: Any, chosen: Callable[[str], bool], change: Callable[[Any], Any]) -> None:
    """Other values for the constants of these names."""
    for each in graph.graph.initializer:
        if chosen(each.name):
            values = onnx.numpy_helper.to_array(each)
            each.CopyFrom(onnx.numpy_helper.from_array(change(values).astype(values.dtype), each.name))


@pytest.mark.parametrize(
    ("sabotage", "says"),
    [
        (turned_kernel, "int8 loses too much|parity failed"),
        (wrong_step, "int8 loses too much|parity failed"),
        (other_front_end, "parity failed: .* at the stage 'front-end'"),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
def test_a_spoiled_int8_file_is_not_written(
    sabotage: Callable[[Any], None],
    says: str,
    checkpoint: Checkpoint,
    recordings: Recordings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = int8_onnx.reduce

    def spoiled(graph: Any, windows: list[Array], kept: tuple[str, ...] = ()) -> Any:
        small = real(graph, windows, kept)
        sabotage(small)
        return small

    monkeypatch.setattr(int8_onnx, "reduce", spoiled)
    clips = windows_of(checkpoint, recordings, "validation", 8)
    with pytest.raises(AnswerIsNo, match=says):
        export(checkpoint, tmp_path, "onnx", "int8", clips=clips, recordings=recordings)
    assert not list(tmp_path.iterdir())
