"""TensorBoard's log against the run's own, read with TensorBoard's reader; nothing is in it twice after a resume."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.train.tones import small
from xfer.runtime.errors import NotThere
from xfer.train import event_log, runs
from xfer.train.fit import Progress
from xfer.train.training import Listener, train

pytest.importorskip("tensorboard", reason="TensorBoard is not installed: pip install 'xfer[tensorboard]'")


def scalars(run: Path) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard would show: (epoch, value) by name."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(run / event_log.FOLDER), size_guidance={"scalars": 0}).Reload()
    return {name: [(each.step, each.value) for each in found.Scalars(name)] for name in found.Tags()["scalars"]}


def rows(run: Path) -> list[dict]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [row for row in lines if "validation" in row]


def agrees(run: Path, epochs: int) -> None:
    """The log holds each row of metrics.jsonl once, and nothing else."""
    shown, known = scalars(run), rows(run)
    assert [row["epoch"] for row in known] == list(range(1, epochs + 1))
    expected = {
        "loss/train": [row["train_loss"] for row in known],
        "loss/validation": [row["validation"]["loss"] for row in known],
        "accuracy/validation_clip_accuracy": [row["validation"]["clip_accuracy"] for row in known],
        "accuracy/validation_window_accuracy": [row["validation"]["window_accuracy"] for row in known],
        "accuracy/validation_macro_f1": [row["validation"]["macro_f1"] for row in known],
        "windows_per_second": [row["windows_per_second"] for row in known],
    }
    assert set(shown) == {*expected, "learning_rate"}
    for name, values in expected.items():
        assert [step for step, _ in shown[name]] == list(range(1, epochs + 1)), name
        assert [value for _, value in shown[name]] == pytest.approx(values, rel=1e-6), name


def test_the_log_is_the_runs_own_also_after_a_stop(tones: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"

    def stop(progress: Progress) -> None:
        if progress.epoch == 2 and progress.step == 1:
            raise KeyboardInterrupt

    recipe = small(tones, "fit.epochs=3", "fit.tensorboard=true", "fit.schedule=constant", "fit.learning_rate=0.002")
    with pytest.raises(KeyboardInterrupt):
        train(recipe, out=out, device="cpu", listener=Listener(fit=stop))
    agrees(out, 1)
    # A kill between the log and metrics.jsonl leaves an epoch that the run does not know.
    from torch.utils.tensorboard import SummaryWriter

    stale = SummaryWriter(str(out / event_log.FOLDER))
    stale.add_scalar("loss/train", 99.0, 2)
    stale.close()
    train(runs.Run(out).recipe, resume=out, device="cpu")
    agrees(out, 3)
    assert scalars(out)["learning_rate"] == [(epoch, pytest.approx(0.002)) for epoch in range(1, 4)]


def test_without_the_option_nothing_is_written(tones: Path, tmp_path: Path) -> None:
    train(small(tones, "fit.epochs=1"), out=tmp_path / "run", device="cpu")
    assert not (tmp_path / "run" / event_log.FOLDER).exists()


def test_without_the_package_the_extra_is_named_before_anything_is_done(
    tones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_log, "find_spec", lambda name: None)
    with pytest.raises(NotThere, match=r"xfer\[tensorboard\]"):
        train(small(tones, "fit.tensorboard=true"), out=tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()
