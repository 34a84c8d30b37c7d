"""The three commands of CLI.md, literally, in an empty folder: the full-size RawNet2 on the embedded voices."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_train_export_listen(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "XFER_HOME": str(tmp_path / "home")}

    def xfer(*words: str) -> str:
        command = [sys.executable, "-m", "xfer.cli", *words]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    began = time.monotonic()
    xfer("train")
    xfer("export", "--format", "onnx")
    assert time.monotonic() - began < 720, "train and export take over twelve minutes"
    best = json.loads(next(tmp_path.glob("runs/speaker-rawnet2-*/best.json")).read_text())
    assert best["data"]["synthetic"] is True
    assert best["metrics"]["test"]["clip_accuracy"] > 0.4, "16 voices: chance is 6 %"
    clip = next((tmp_path / "home/cache").rglob("voice01_0*.wav"))
    samples, rate = soundfile.read(clip)
    soundfile.write(tmp_path / "a.wav", np.tile(samples, 3), rate)
    events = [json.loads(line) for line in xfer("listen", "--task", "speaker", "a.wav", "--jsonl").splitlines()]
    assert {event["model"] for event in events} == {"speaker"}
    assert len(events[0]["top"]) == 5
    xfer("verify", "models/speaker.onnx")
