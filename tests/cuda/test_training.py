"""Training on the card: it learns in every precision, goes on after a stop, and its checkpoint is anybody's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.train.tones import small, write_tones
from xfer.train import runs
from xfer.train.augment.recipe import PROBABILITIES
from xfer.train.checkpoint import load
from xfer.train.data.open import read_data
from xfer.train.data.waves import Waves
from xfer.train.evaluation import evaluate, open_subject
from xfer.train.fit import Progress
from xfer.train.training import Listener, train

pytestmark = pytest.mark.cuda


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tones(tmp_path_factory.mktemp("tones"))


@pytest.mark.parametrize(
    "setting", ["fit.precision=fp32", "fit.precision=bf16", "fit.precision=auto", "fit.average=0.9"]
)
def test_it_learns(setting: str, tones: Path, tmp_path: Path, device: torch.device) -> None:
    done = train(small(tones, "fit.epochs=3", setting), out=tmp_path / "run", device=device.type)
    assert done.validation["clip_accuracy"] == 1.0
    assert (done.run.folder / "report.html").is_file()


@pytest.mark.parametrize("setting", ["fit.precision=fp16", "fit.compile=true"])
def test_it_learns_in_ways_that_only_a_card_has(setting: str, tones: Path, tmp_path: Path, card: torch.device) -> None:
    done = train(small(tones, "fit.epochs=3", setting), out=tmp_path / "run", device=card.type)
    assert done.validation["clip_accuracy"] == 1.0
    assert load(done.run.best).labels == ("high", "low")


def stop_in(epoch: int) -> Listener:
    def stop(progress: Progress) -> None:
        if progress.epoch == epoch and progress.step == 1:
            raise KeyboardInterrupt

    return Listener(fit=stop)


def scores(checkpoint: Path, tones: Path, where: str) -> np.ndarray:
    """Of every clip's windows, (windows, labels)."""
    subject = open_subject(checkpoint, where)
    waves = Waves(subject.sample_rate)
    found = []
    for clip in read_data(str(tones), "", None, None).clips:
        window = np.resize(waves.samples(clip), subject.window)
        found.append(subject.answer(window[None]).scores)
    return np.concatenate(found)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_run_that_was_stopped_ends_as_one_that_was_not(
    precision: str, tones: Path, tmp_path: Path, device: torch.device
) -> None:
    recipe = small(tones, "fit.epochs=3", f"fit.precision={precision}")
    whole = train(recipe, out=tmp_path / "whole", device=device.type)
    with pytest.raises(KeyboardInterrupt):
        train(recipe, out=tmp_path / "broken", device=device.type, listener=stop_in(2))
    again = train(runs.Run(tmp_path / "broken").recipe, resume=tmp_path / "broken", device=device.type)
    assert [row["epoch"] for row in again.run.rows()] == [1, 2, 3]
    # Sums on a card come in any order, so equality to the bit is promised for the CPU only.
    one, other = (scores(each.run.last, tones, "cpu") for each in (whole, again))
    np.testing.assert_allclose(one, other, atol=0.02)


def test_a_stopped_fp16_run_keeps_its_scale(tones: Path, tmp_path: Path, card: torch.device) -> None:
    out = tmp_path / "run"
    recipe = small(tones, "fit.epochs=3", "fit.precision=fp16")
    with pytest.raises(KeyboardInterrupt):
        train(recipe, out=out, device=card.type, listener=stop_in(3))
    assert load(out / "last.safetensors").progress["scaler"]["scale"] > 0
    done = train(runs.Run(out).recipe, resume=out, device=card.type)
    assert [row["epoch"] for row in done.run.rows()] == [1, 2, 3]


def test_a_run_from_the_card_goes_on_on_the_cpu_and_says_so(tones: Path, tmp_path: Path, card: torch.device) -> None:
    out = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        train(small(tones, "fit.epochs=2", "fit.precision=fp32"), out=out, device=card.type, listener=stop_in(2))
    said: list[str] = []
    done = train(runs.Run(out).recipe, resume=out, device="cpu", listener=Listener(warn=said.append))
    assert any("bit by bit" in line for line in said)
    assert [row["epoch"] for row in done.run.rows()] == [1, 2]


def test_evaluation_is_the_same_on_both(tones: Path, tmp_path: Path, device: torch.device) -> None:
    run = train(small(tones, "fit.epochs=2"), out=tmp_path / "run", device=device.type).run
    np.testing.assert_allclose(scores(run.best, tones, device.type), scores(run.best, tones, "cpu"), atol=1e-4)
    data = read_data(str(tones), "", None, None)
    told = []
    for where in (device.type, "cpu"):
        subject = open_subject(run.folder, where)
        told.append(evaluate(subject, data, data.clips, Waves(subject.sample_rate), "all"))
    assert told[0].right == told[1].right
    assert told[0].macro_f1 == told[1].macro_f1


def test_a_head_learns_on_the_card(tones: Path, tmp_path: Path, device: torch.device) -> None:
    source = train(small(tones, "fit.epochs=2"), out=tmp_path / "source", device=device.type).run
    recipe = small(tones, "fit.epochs=5", f"transfer.source={source.folder}", "transfer.method=head")
    moved = train(recipe, out=tmp_path / "head", device=device.type)
    assert moved.validation["clip_accuracy"] == 1.0
    body, kept = load(moved.run.best).net.state_dict(), load(source.best).net.state_dict()
    assert all(torch.equal(body[name], kept[name]) for name in kept if not name.startswith("head."))


def test_augmented_training_learns(tones: Path, tmp_path: Path, device: torch.device) -> None:
    settings = [f"augment.{name}=0.3" for name in PROBABILITIES if name != "speed"]  # pitch is what is told apart
    done = train(small(tones, "fit.epochs=6", *settings), out=tmp_path / "run", device=device.type)
    assert done.validation["clip_accuracy"] >= 0.75


def test_memory_that_runs_out_halves_the_batch_and_says_so(tones: Path, tmp_path: Path, card: torch.device) -> None:
    """A card on which the first step of a batch does not fit, made by leaving little of this one free."""
    recipe = small(tones, "fit.epochs=1", "fit.batch=8", "fit.precision=fp32", "fit.crops_per_clip=8")
    train(small(tones, "fit.epochs=1", "fit.precision=fp32"), out=tmp_path / "warm", device=card.type)
    torch.cuda.empty_cache()
    failed: list[int] = []
    told: list[str] = []

    from xfer.train.fit import loop

    real = loop._Work._accumulated

    def once(work, inputs, targets):
        """The allocator's own error, once: a request that no card can meet."""
        if not failed:
            failed.append(1)
            torch.empty(1 << 50, device=card)
        return real(work, inputs, targets)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop._Work, "_accumulated", once)
        train(
            recipe,
            out=tmp_path / "run",
            device=card.type,
            listener=Listener(fit=lambda progress: told.append(progress.note)),
        )
    assert sum("out of memory" in note for note in told) == 1
