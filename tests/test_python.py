"""`import xfer` for programs: what docs/python.md says is run, and answers are those of the command line."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

import xfer
from tests.runtime.tiny import RATE, melody, tone, write_tiny
from xfer.cli.app import main
from xfer.runtime.audio import resample
from xfer.runtime.speakers import Person, Recording, Store, binding_of, key_of, locked, path_of, write_store

ROOT = Path(__file__).parents[1]
EXAMPLES = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "python.md").read_text(encoding="utf8"), re.DOTALL)


@pytest.fixture(autouse=True)
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a model and a clip, and a home where nobody is enrolled."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XFER_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XFER_MODELS", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    write_tiny(tmp_path / "speaker.onnx")
    write_tiny(tmp_path / "models" / "speaker.onnx")
    soundfile.write(tmp_path / "clip.wav", melody(), RATE)
    return tmp_path


def test_the_docs_have_examples() -> None:
    assert len(EXAMPLES) >= 5


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_examples_run_as_they_stand(number: int) -> None:
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", EXAMPLES[number]], capture_output=True, text=True, timeout=60
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout


def test_importing_is_light() -> None:
    code = (
        "import sys, time; begin = time.perf_counter(); import xfer; took = time.perf_counter() - begin\n"
        "print(took, *sorted(sys.modules))"
    )
    found = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.split() for _ in range(3)
    ]
    assert min(float(each[0]) for each in found) < 0.35
    assert not {"torch", "numpy", "onnxruntime", "openvino", "typer", "rich", "librosa"} & set(found[0])


def test_a_call_answers_what_the_windows_say() -> None:
    model = xfer.load("speaker.onnx")
    answer = model(melody(), RATE)
    assert [window.label for window in answer.windows][::2][:3] == ["low", "low", "high"]
    assert answer.windows[0].start == 0
    assert answer.windows[-1].end == pytest.approx(1.8)
    for name in ("low", "middle", "high"):
        mean = np.mean([dict(window.top)[name] for window in answer.windows])
        assert dict(answer.top)[name] == pytest.approx(mean, abs=1e-6)
    assert answer.embedding.shape == (3,)
    assert (model.task, model.rate, model.labels) == ("speaker", RATE, ("low", "middle", "high"))


def test_every_form_of_the_same_samples_answers_alike() -> None:
    model = xfer.load("speaker.onnx")
    wave = melody()
    wanted = model(wave, RATE).top
    sixteen = np.round(wave * 32768).astype(np.int16)
    forms = [wave.astype(np.float64), sixteen, sixteen.astype(np.int32) * 65536, np.stack([wave, wave], axis=1)]
    for form in forms:
        assert dict(model(form, RATE).top) == pytest.approx(dict(wanted), abs=1e-3)
    assert dict(model(resample(wave, RATE, 44_100), 44_100).top) == pytest.approx(dict(wanted), abs=1e-2)


@pytest.mark.parametrize(
    ("wave", "rate"),
    [
        (np.zeros(0), RATE),
        (np.zeros((0, 2)), RATE),
        (np.zeros((2, 0)), RATE),
        (np.zeros((2, 1000)), RATE),
        (np.zeros((2, 2, 2)), RATE),
        (np.float32(1), RATE),
        (np.full(100, np.nan), RATE),
        (np.full(100, np.inf), RATE),
        (np.arange(100.0), RATE),
        (np.zeros(100, np.uint8), RATE),
        (np.zeros(100, bool), RATE),
        (np.zeros(100, complex), RATE),
        (np.array(["sound"]), RATE),
        (np.zeros(100), 0),
        (np.zeros(100), 16_000.5),
    ],
)
def test_what_is_no_sound_is_refused(wave: np.ndarray, rate: int) -> None:
    with pytest.raises(xfer.Unusable):
        xfer.load("speaker.onnx")(wave, rate)


def test_the_shortest_sound_is_answered() -> None:
    answer = xfer.load("speaker.onnx")(tone(500, 1.0)[:200], RATE)
    assert answer.label == "low"
    assert (answer.end, answer.windows[0].end) == (200 / RATE, 200 / RATE)


def test_events_are_those_of_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["listen", "clip.wav", "--model", "speaker.onnx", "--jsonl"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    events = [event.document() for event in xfer.load("speaker.onnx").listen("clip.wav")]
    assert events
    for line, event in zip(lines, events, strict=True):
        assert {**line, "time": "", "latency_ms": 0} == json.loads(json.dumps({**event, "time": "", "latency_ms": 0}))


def test_blocks_and_a_file_give_the_same_events() -> None:
    model = xfer.load("speaker.onnx")
    wave, _ = soundfile.read("clip.wav", dtype="int16")
    blocks = np.split(wave, [1, 334, 4431, 4438, 20_439])

    def plain(events: object) -> list[tuple[object, ...]]:
        return [(each.start, each.end, each.label, each.known, each.score) for each in events]  # type: ignore[attr-defined]

    file = plain(model.listen("clip.wav"))
    assert file
    assert plain(model.listen(blocks, rate=RATE)) == file
    assert plain(model.listen(blocks, rate=RATE, each_window=True)) == plain(model.listen("clip.wav", each_window=True))


def test_values_that_are_no_sound_are_gaps() -> None:
    wave = melody()
    wave[9_000:9_100] = np.nan
    kinds = [event.kind for event in xfer.load("speaker.onnx").listen([wave], rate=RATE, each_window=True)]
    assert "gap" in kinds
    assert "event" in kinds


def test_a_source_is_refused_at_once_with_the_way_out() -> None:
    model = xfer.load("speaker.onnx")
    with pytest.raises(FileNotFoundError, match=r"none\.wav does not exist"):
        model.listen("none.wav")
    with pytest.raises(xfer.Unusable, match="rate=16000"):
        model.listen([melody()])
    with pytest.raises(xfer.Unusable, match="leave `rate` out"):
        model.listen("clip.wav", rate=RATE)


def test_leaving_the_loop_closes_the_source() -> None:
    from xfer.runtime.sources import FileSource

    class Watched(FileSource):
        closed = 0

        def close(self) -> None:
            super().close()
            self.closed += 1

    model = xfer.load("speaker.onnx")
    for stop_early in (True, False):
        source = Watched("clip.wav")
        events = model.listen(source, each_window=True)
        for _ in events:
            if stop_early:
                break
        assert source.closed == (not stop_early)
        events.close()
        assert source.closed == 1


def test_a_task_finds_its_model_and_a_file_of_that_name_comes_first(lab: Path) -> None:
    assert xfer.load("speaker").model.path == Path("models/speaker.onnx")
    with pytest.raises(xfer.NotThere):
        xfer.load("command")
    shutil.copy("speaker.onnx", "other.onnx")
    assert xfer.load(lab / "other.onnx").model.path == lab / "other.onnx"


def test_a_threshold_may_be_told() -> None:
    assert not xfer.load("speaker.onnx", threshold=1.0)(tone(500, 1), RATE).known
    assert xfer.load("speaker.onnx", threshold=0.0)(tone(500, 1), RATE).known


def test_enrolled_people_take_the_place_of_labels() -> None:
    plain = xfer.load("speaker.onnx")
    heard = plain(tone(500, 1), RATE).embedding[None]
    kept = Recording("a.wav", "0" * 64, 1.0, "2026-11-23T10:00:00+01:00", np.repeat(heard, 4, axis=0))
    with locked():
        write_store(path_of(key_of(plain.model)), Store(binding_of(plain.model), (Person("ann", (kept,)),)))
    model = xfer.load("speaker.onnx", threshold=0.99)
    assert model.labels == model.people == ("ann",)
    assert (model(tone(500, 1), RATE).label, model(tone(500, 1), RATE).known) == ("ann", True)
    assert not model(tone(3000, 1), RATE).known
    assert [event.label for event in model.listen([tone(500, 1)], rate=RATE)] == ["ann"]
    assert xfer.load("speaker.onnx", people=False).labels == plain.labels


def test_loading_is_quick_enough_to_be_done_at_start() -> None:
    begin = time.perf_counter()
    xfer.load("speaker.onnx")
    assert time.perf_counter() - begin < 2
