"""The STFT in two stages: the same numbers as numpy's and librosa's transforms, in every size, hop, engine and net."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.export.nets import small_checkpoint, small_net
from xfer.export import frontend as choosing
from xfer.export import onnx as graphs
from xfer.export.fold import FORMS, Split, TwoStageStft, fold, forms_of, split_of
from xfer.export.frontend import Choice, choose, graph_of
from xfer.export.pipeline import export
from xfer.runtime.errors import Unusable
from xfer.train.checkpoint import Checkpoint
from xfer.train.nets.frontends import Sinc, Stft

SIZES = ((400, 160), (512, 128), (1024, 512), (1024, 511), (2048, 512), (1024, 1500))
FORMATS = ("onnx", "openvino")


def spectrum(wave: np.ndarray, n_fft: int, hop: int, frames: int) -> np.ndarray:
    """|rfft| of reflected, centred frames under a symmetric Hann window, in float64: (frames, bins)."""
    padded = np.pad(wave.astype(np.float64), n_fft // 2, mode="reflect")
    framed = np.stack([padded[start : start + n_fft] for start in range(0, frames * hop, hop)])
    n = np.arange(n_fft)
    return np.abs(np.fft.rfft(framed * (0.5 - 0.5 * np.cos(2 * np.pi * n / (n_fft - 1)))))


def noise(length: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.3, length).astype(np.float32)


def both_errors(got: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Largest difference over the peak, and relative L2."""
    return np.abs(got - truth).max() / truth.max(), float(np.linalg.norm(got - truth) / np.linalg.norm(truth))


@st.composite
def transforms(draw: st.DrawFn) -> tuple[int, int, int, int, Split]:
    """n_fft, hop, frames, window, and any split of n_fft."""
    first, second = draw(st.integers(2, 40)), draw(st.integers(2, 24))
    n_fft = first * second
    hop = draw(st.one_of(st.integers(max(1, n_fft // 60), 2 * n_fft), st.sampled_from([second, 3 * second, n_fft])))
    hop = max(hop, -(-n_fft // 60))
    frames = draw(st.integers(1, 5))
    window = max((frames - 1) * hop + n_fft - 2 * (n_fft // 2), n_fft // 2 + 1) + draw(st.integers(0, hop))
    return n_fft, hop, frames, window, Split(first, second)


@settings(max_examples=60, deadline=None)
@given(transforms(), st.integers(0, 9))
def test_any_split_is_the_transform(what: tuple[int, int, int, int, Split], seed: int) -> None:
    n_fft, hop, frames, window, split = what
    wave = np.stack([noise(window, seed), noise(window, seed + 1)])
    truth = np.stack([spectrum(each, n_fft, hop, frames) for each in wave])
    stft = Stft(n_fft, hop, frames)
    exact = TwoStageStft(stft, split, torch.float64)(torch.from_numpy(wave).double())
    assert exact.shape == (2, 1, frames, n_fft // 2 + 1)
    assert both_errors(exact[:, 0].numpy(), truth)[0] < 1e-12
    single = TwoStageStft(stft, split)(torch.from_numpy(wave))
    assert single.dtype == torch.float32
    largest, relative = both_errors(single[:, 0].numpy(), truth)
    assert largest < 2e-6
    assert relative < 1e-6


@pytest.mark.parametrize(("n_fft", "hop"), SIZES)
def test_it_is_librosas(n_fft: int, hop: int) -> None:
    librosa = pytest.importorskip("librosa")
    wave = noise(22050)
    frames = 22050 // hop
    window = librosa.filters.get_window("hann", n_fft, fftbins=False)
    found = librosa.stft(
        wave.astype(np.float64), n_fft=n_fft, hop_length=hop, window=window, pad_mode="reflect", dtype=np.complex128
    )
    with torch.no_grad():
        ours = TwoStageStft(Stft(n_fft, hop, frames))(torch.from_numpy(wave)[None])[0, 0].numpy()
    assert both_errors(ours, np.abs(found[:, :frames]).T)[1] < 1e-6


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("n_fft", "hop"), SIZES)
def test_each_form_in_each_engine(n_fft: int, hop: int, form: str, format: str) -> None:
    """Front-end limit 1e-5 of the peak, and the aim of 2e-6 in L2; quiet sound is as exact as loud sound."""
    pytest.importorskip("onnxruntime" if format == "onnx" else "openvino")
    window, frames = 12000, 12000 // hop
    _, load = choosing.ENGINES[format]()
    run = load(graph_of(Stft(n_fft, hop, frames), window, form))
    for level in (1.0, 1e-3):
        wave = np.float32(level) * np.stack([noise(window), noise(window, 5)])
        given_out = run(wave)
        got = np.array(given_out[0])[:, 0]
        truth = np.stack([spectrum(each, n_fft, hop, frames) for each in wave])
        largest, relative = both_errors(got, truth)
        assert largest < 1e-5
        assert relative < 2e-6


def test_which_sizes_have_a_split() -> None:
    assert split_of(1024) == Split(32, 32)
    assert split_of(400) == Split(20, 20)
    assert split_of(2048) == Split(64, 32)
    for n_fft in (2, 3, 4, 6, 7, 127, 1021):
        assert split_of(n_fft) is None
        assert forms_of(Stft(n_fft, 10, 3)) == ("conv",)
    for n_fft in (256, 400, 480, 512, 1024, 1200, 2048, 4096):
        split = split_of(n_fft)
        assert split is not None
        assert split.first * split.second == n_fft
        assert 4 * split.multiplications < n_fft * (n_fft + 2)
    assert forms_of(Stft(1024, 4, 3)) == ("conv",)  # 256 slices for a frame
    assert forms_of(Sinc(8, 51, 16000, 25)) == ("conv",)
    with pytest.raises(ValueError, match="two stages"):
        TwoStageStft(Stft(512, 128, 3), Split(16, 16))


@pytest.mark.parametrize("form", FORMS)
def test_convnet_in_both_forms_and_both_engines(form: str, checkpoint: Callable[..., Checkpoint]) -> None:
    onnxruntime, openvino = pytest.importorskip("onnxruntime"), pytest.importorskip("openvino")
    net = checkpoint("convnet").net
    graph = graphs.to_shipped(graphs.to_twin(fold(net, form)))
    found = graphs.operators(graph)
    assert not {"STFT", "DFT", "BatchNormalization", "Dropout"} & set(found)
    assert found.get("MatMul", 0) == (2 if form == "fft" else 0)
    audio = np.stack([noise(net.window, seed) for seed in range(3)])
    with torch.no_grad():
        wanted = net(torch.from_numpy(audio)).logits.numpy()
    content = graph.SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(content, b""), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    for logits in (session.run(["logits"], {"audio": audio})[0], compiled({"audio": audio})["logits"]):
        assert np.abs(logits - wanted).max() < 2e-5 * max(1.0, np.abs(wanted).max())


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("form", FORMS)
def test_an_export_in_the_form_that_was_asked_for(form: str, format: str, tmp_path: Path) -> None:
    exported = export(small_checkpoint(tmp_path / "run"), tmp_path / "models", format, frontend=form)
    told = {"form": form, "chosen": "asked"} | ({"split": [16, 16]} if form == "fft" else {})
    assert exported.card.frontend["computed"] == told
    assert exported.card.frontend["n_fft"] == 256
    assert exported.parity.ok


def test_equal_nets_give_equal_graphs_in_this_form_too() -> None:
    one, other = (graphs.to_twin(fold(small_net("stft"), "fft")).SerializeToString() for _ in range(2))
    assert one == other


def test_the_trained_net_keeps_its_own_form() -> None:
    net = small_net("stft")
    before = net.frontend
    folded = fold(net, "fft")
    assert net.frontend is before
    assert isinstance(folded.net.frontend, TwoStageStft)


@pytest.mark.parametrize("format", FORMATS)
def test_the_faster_form_is_chosen_and_told(format: str) -> None:
    pytest.importorskip("onnxruntime" if format == "onnx" else "openvino")
    choice = choose(Stft(2048, 512, 40), 22050, format)
    assert set(choice.milliseconds) == set(FORMS)
    assert choice.form == min(choice.milliseconds, key=lambda form: choice.milliseconds[form])
    assert choice.form == "fft"  # ten times, so on any machine
    told = choice.to_json()
    assert (told["form"], told["chosen"], told["split"]) == ("fft", "measured", [64, 32])
    assert "threads" not in told
    assert {"onnx": "ONNX Runtime", "openvino": "OpenVINO"}[format] in told["measured_on"]


def test_where_there_is_no_choice() -> None:
    assert choose(Sinc(8, 51, 16000, 25), 8000, "onnx") == Choice("conv")
    assert choose(Stft(127, 60, 5), 8000, "onnx").to_json() == {"form": "conv", "chosen": "only"}
    assert choose(Stft(512, 128, 5), 8000, "no engine is needed", "fft") == Choice("fft", (32, 16), "asked")


@pytest.mark.parametrize(("word", "nearest"), [("ftt", "'fft'"), ("convolution", "'conv'"), ("Auto", "'auto'")])
def test_a_wrong_word_is_met_with_the_nearest(word: str, nearest: str) -> None:
    with pytest.raises(Unusable, match=nearest):
        choose(Stft(512, 128, 5), 8000, "onnx", word)


@pytest.mark.parametrize("frontend", [Sinc(8, 51, 16000, 25), Stft(127, 60, 5)], ids=["sinc", "prime"])
def test_a_form_that_a_front_end_cannot_have_is_refused(frontend: Stft | Sinc) -> None:
    with pytest.raises(Unusable, match=r"has no form 'fft'.*--frontend conv"):
        choose(frontend, 8000, "onnx", "fft")
