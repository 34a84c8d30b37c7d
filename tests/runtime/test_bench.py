"""Bench: what is measured is what its name says, and the verdict follows from the numbers."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.runtime.test_selftest import another_weight
from tests.runtime.tiny import tiny_card, write_tiny, write_tiny_openvino
from xfer.runtime import verdicts
from xfer.runtime.bench import Measured, Row, bench, judge
from xfer.runtime.bench.measure import _cpu_share, _latencies, measure
from xfer.runtime.bench.rounds import in_a_process
from xfer.runtime.engines import Outputs
from xfer.runtime.errors import NotThere, Unusable
from xfer.runtime.here import Setting
from xfer.runtime.models import Model, find_model
from xfer.runtime.processor import processor_name

CHECKPOINT = {"checkpoint_sha256": "a" * 64}


class Sleeper:
    """An engine that takes as long as it is told: by sleeping, or by computing."""

    notes = ()
    description = "sleeper"
    outputs = ("scores", "logits", "embedding")

    def __init__(self, seconds: float, busy: bool = False) -> None:
        self.card = tiny_card()
        self.seconds = seconds
        self.busy = busy
        self.runs = 0

    def run(self, windows: np.ndarray) -> Outputs:
        self.runs += 1
        end = time.perf_counter() + self.seconds
        if self.busy:
            spent = time.process_time() + self.seconds
            while time.process_time() < spent:
                pass
        else:
            time.sleep(max(0.0, end - time.perf_counter()))
        return Outputs(*(np.zeros((1, 3), np.float32) for _ in range(3)))

    def read(self, windows: np.ndarray, names: Any) -> list[np.ndarray]:
        return [np.zeros((1, 3), np.float32) for _ in names]


def test_latency_is_that_of_a_window_after_warm_up() -> None:
    engine = Sleeper(0.01)
    took = _latencies(Model(engine.card, engine, Path("a.onnx")), np.zeros((1, 4000), np.float32), 0.2)
    assert 10 <= len(took) <= 21
    assert 0.01 <= min(took) <= float(np.median(took)) < 0.03
    assert engine.runs >= len(took) + 5, "the first ones do not count"


def test_cpu_is_counted_at_real_time_rate() -> None:
    """A tenth of a hop computing is a tenth of a core; the same time asleep is nothing."""
    window = np.zeros((1, 4000), np.float32)
    busy, idle = Sleeper(0.03, busy=True), Sleeper(0.03)
    share = _cpu_share(Model(busy.card, busy, Path("a.onnx")), window, 0.3, 2.0)
    assert 0.07 < share < 0.16
    assert busy.runs == 7, "two seconds at a hop of 0.3"
    assert _cpu_share(Model(idle.card, idle, Path("a.onnx")), window, 0.3, 1.0) < 0.03


def test_a_file_is_measured_in_a_process_of_its_own(tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "a.onnx", parity={"ok": True})
    ballast = np.ones(40_000_000)  # 320 MB that are ours, not the worker's
    (row,) = bench([path], engine="onnxruntime", threads=1, seconds=0.2)
    found = row.measured
    assert found is not None
    assert found.equal
    assert found.where == ""
    assert found.p50_ms <= found.p95_ms <= found.p99_ms
    assert found.real_time_factor == pytest.approx(found.p50_ms / 1000 / found.hop_seconds)
    assert found.hop_seconds == 0.125
    assert found.peak_memory_mb is not None
    assert 15 < found.peak_memory_mb < 200 < ballast.nbytes / 1e6
    assert 0 < found.load_seconds < found.cold_start_seconds < 60
    assert row.bytes == path.stat().st_size
    assert row.parity == "ok"
    json.dumps(row.document(), allow_nan=False)


def test_a_model_that_differs_is_measured_and_said(tmp_path: Path) -> None:
    other = another_weight(write_tiny(tmp_path / "a.onnx"), "head", 1.05)
    (row,) = bench([other], engine="onnxruntime", threads=1, seconds=0.1)
    assert row.measured is not None
    assert not row.measured.equal
    assert "logits" in row.measured.where


def test_what_cannot_be_measured_ends_before_anything_is(tmp_path: Path) -> None:
    good = write_tiny(tmp_path / "a.onnx")
    (tmp_path / "b.onnx").write_text("no model")
    with pytest.raises(Unusable, match=r"b\.onnx"):
        next(bench([good, tmp_path / "b.onnx"]))
    with pytest.raises(NotThere, match=r"c\.onnx"):
        next(bench([tmp_path / "c.onnx"]))
    pytest.importorskip("openvino")
    with pytest.raises(NotThere, match="NPU"):
        next(bench([good], device="npu", seconds=0.1))


def test_a_process_that_dies_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_tiny(tmp_path / "a.onnx")
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(Unusable, match=r"a\.onnx with ONNX Runtime on CPU, 1 thread ended with 1"):
        in_a_process(path, Setting("onnxruntime", "cpu", 1), 0.1)


def test_a_file_called_like_a_module_is_not_taken_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "numpy.py").write_text("raise SystemExit(9)")
    path = write_tiny(tmp_path / "a.onnx")
    monkeypatch.chdir(tmp_path)
    assert in_a_process(path, Setting("onnxruntime", "cpu", 1), 0.1).equal


def row(
    precision: str = "fp32", p50: float = 10.0, form: str = "onnx", engine: str = "", threads: int = 1, **more: Any
) -> Row:
    found = Measured(
        engine="",
        notes=(),
        equal=more.pop("equal", True),
        where=more.pop("where", ""),
        scores=0.0,
        p50_ms=p50,
        p95_ms=p50,
        p99_ms=p50,
        runs=100,
        hop_seconds=1.0,
        real_time_factor=p50 / 1000,
        cpu_percent=p50 / 10,
        peak_memory_mb=100.0,
        cold_start_seconds=1.0,
        load_seconds=0.5,
    )
    card = tiny_card(format=form, precision=precision, provenance=more.pop("provenance", CHECKPOINT))
    setting = Setting(engine or {"onnx": "onnxruntime"}.get(form, form), "cpu", threads)
    path = Path(f"speaker.{precision}.{form}")
    return Row(path, card, more.pop("bytes", 1000), setting, found)


def chosen(*rows: Row, **metrics: float) -> tuple[str, str]:
    (verdict,) = judge(rows, {Path(name.replace("_", ".")): value for name, value in metrics.items()})
    assert verdict.choice is not None
    return verdict.choice.card.precision, verdict.sentence


@pytest.mark.parametrize(
    ("p50", "wins", "says"),
    [
        (5.0, True, "int8 is 2.0 times as fast as fp32 here: take int8."),
        (9.0, True, "int8 is 1.1 times as fast as fp32 here: take int8."),
        (9.5, False, "int8 is as fast as fp32 here, so it saves size only: keep fp32."),
        (10.5, False, "saves size only: keep fp32."),
        (20.0, False, "int8 is slower here (2.0 times the latency of fp32): keep fp32."),
    ],
)
def test_the_verdict_on_int8(p50: float, wins: bool, says: str) -> None:
    for rows in ([row(), row("int8", p50, bytes=250)], [row("int8", p50, bytes=250), row()]):
        precision, sentence = chosen(*rows)
        assert says in sentence
        assert precision == ("int8" if wins else "fp32")


def test_a_faster_form_that_is_worse_or_wrong_is_not_taken() -> None:
    fast = row("int8", 2.0)
    precision, sentence = chosen(row(), fast, speaker_fp32_onnx=0.90, speaker_int8_onnx=0.89)
    assert precision == "fp32"
    assert "int8 loses 1.0 points of the metric: keep fp32." in sentence
    assert chosen(row(), fast, speaker_fp32_onnx=0.90, speaker_int8_onnx=0.897)[0] == "int8"
    precision, sentence = chosen(row(), row("int8", 2.0, equal=False, where="chirp: scores by 1e-1"))
    assert precision == "fp32"
    assert "onnx int8 does not compute here what was exported (chirp: scores by 1e-1): do not use it." in sentence
    (verdict,) = judge([row(equal=False), row("int8", equal=False)])
    assert verdict.choice is None
    assert verdict.to_store("p") is None


def test_the_fastest_of_several_is_taken_as_listening_would_run_it() -> None:
    rows = [row(), row("fp16", 8.0), row("int8", 6.0), row("int8", 5.0, form="openvino"), row("fp32", 7.0, "openvino")]
    (verdict,) = judge(rows)
    assert verdict.choice is rows[3]
    # int8 with two threads, or by an engine that is not the format's own, is not what listen would run.
    quick = [row("int8", 30.0), row("int8", 1.0, threads=2), row("int8", 1.0, engine="openvino")]
    for rows in ([row(), *quick], [*reversed(quick), row()]):
        (verdict,) = judge(rows)
        assert verdict.choice is not None
        assert verdict.choice.card.precision == "fp32"


def test_threads_engines_and_pace_are_told() -> None:
    (verdict,) = judge([row(), row(p50=5.0, threads=2), row(p50=4.0, engine="openvino")])
    assert "2 threads are 2.0 times as fast as 1." in verdict.sentence
    assert "OpenVINO on CPU, 1 thread is 2.5 times as fast as ONNX Runtime on CPU, 1 thread." in verdict.sentence
    assert "It keeps up 100 times over, at 1.0 % of one core." in verdict.sentence
    (slow,) = judge([row(p50=2500.0)])
    assert "It does not keep up: a window takes 2.5 hops" in slow.sentence


def test_nets_that_are_not_the_same_are_not_compared() -> None:
    two = judge([row(), row("int8", 1.0, provenance={"checkpoint_sha256": "b" * 64})])
    assert [verdict.forms for verdict in two] == [1, 1]
    assert all(verdict.to_store("p") is None for verdict in two), "one form is no choice"
    unknown = judge([row(provenance={}), row("int8", provenance={})])
    assert len(unknown) == 2


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XFER_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XFER_MODELS", raising=False)
    return tmp_path


@pytest.mark.usefixtures("lab")
def test_listen_takes_what_bench_found_best_here() -> None:
    plain = write_tiny(Path("models/speaker.onnx"), provenance=CHECKPOINT)
    small = write_tiny(Path("models/speaker.int8.onnx"), provenance=CHECKPOINT, precision="int8")
    assert find_model("speaker") == plain
    (verdict,) = judge([row(), row("int8", 2.0)])
    stored = verdict.to_store(processor_name())
    assert stored is not None
    verdicts.keep(stored)
    assert find_model("speaker") == small
    assert find_model("speaker", "fp32") == plain
    verdicts.keep(replace(stored, precision="fp32"))
    assert find_model("speaker") == plain, "the newer verdict stands in place of the older"
    verdicts.keep(replace(stored, processor="another"))
    verdicts.keep(replace(stored, checkpoint="c" * 64))
    assert find_model("speaker") == plain
    verdicts.keep(stored)
    small.unlink()
    write_tiny(Path("models/speaker.int8.onnx"), provenance={"checkpoint_sha256": "d" * 64}, precision="int8")
    assert find_model("speaker") == plain, "int8 of another training is another model"
    write_tiny_openvino(Path("models/x.openvino"), provenance=CHECKPOINT, precision="int8")
    verdicts.keep(replace(stored, format="openvino"))
    assert find_model("speaker") == Path("models/x.openvino")


@pytest.mark.usefixtures("lab")
def test_a_precision_that_is_not_here_or_unknown() -> None:
    write_tiny(Path("models/speaker.onnx"))
    with pytest.raises(Unusable, match="did you mean 'int8'"):
        find_model("speaker", "int")
    with pytest.raises(NotThere, match="xfer export --precision int8"):
        find_model("speaker", "int8")


@pytest.mark.parametrize(
    "text", ["", "text", "[]", "{}", '{"version": 2, "verdicts": []}', '{"version": 1, "verdicts": [3]}']
)
def test_damaged_verdicts_are_named_and_written_anew(lab: Path, text: str) -> None:
    write_tiny(Path("models/speaker.onnx"), provenance=CHECKPOINT)
    verdicts.place().parent.mkdir()
    verdicts.place().write_text(text)
    with pytest.raises(Unusable, match=r"bench\.json.*remove it"):
        find_model("speaker")
    (verdict,) = judge([row(), row("int8", 20.0)])
    stored = verdict.to_store(processor_name())
    assert stored is not None
    assert verdicts.keep(stored) == verdicts.place()
    assert find_model("speaker") == Path("models/speaker.onnx")


def test_measuring_here_gives_the_same_numbers_as_in_a_process(tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "a.onnx")
    setting = Setting("onnxruntime", "cpu", 1)
    here = measure(path, setting, 0.1, time.monotonic())
    there = in_a_process(path, setting, 0.1)
    assert (here.engine, here.equal, here.hop_seconds) == (there.engine, there.equal, there.hop_seconds)
    assert here.scores == there.scores == 0.0
