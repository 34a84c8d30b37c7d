"""One training from a recipe to a finished run: data set, split, check, net, transfer, fit, test."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from xfer.runtime.errors import AnswerIsNo, NotThere, Unusable
from xfer.train import fit as loop
from xfer.train import runs
from xfer.train.checkpoint import load
from xfer.train.data.cache import Store
from xfer.train.data.check import name_of
from xfer.train.data.clips import DataSet
from xfer.train.data.digest import manifest_sha256
from xfer.train.data.problems import Problem
from xfer.train.data.splits import write_split
from xfer.train.data.waves import Waves, seconds
from xfer.train.event_log import event_log, need_tensorboard
from xfer.train.finishing import bands, finish
from xfer.train.fit.forms import BY_NAME, Form, choose
from xfer.train.fit.losses import margin_scale
from xfer.train.nets import NETS, Net, change_head, create, replace_head
from xfer.train.preparing import prepare
from xfer.train.recipe import Recipe
from xfer.train.transfer import METHODS, Job
from xfer.train.world import World, join, lost_another, share_norms

Edges = npt.NDArray[np.float64]
EMBEDDED_SETTINGS = ("fit.epochs=6", "fit.crops_per_clip=2")
"""Short, for the embedded voices: a full-size RawNet2 learns most of them in five minutes on two cores."""


@dataclass
class Listener:
    """Who is told of the work; every field may stay silent."""

    say: Callable[[str], None] = lambda line: None
    """A sentence of progress."""
    warn: Callable[[str], None] = lambda line: None
    """A sentence that a user must see."""
    data: Callable[[str, int, int], None] = lambda what, done, of: None
    """Progress of looking at the data: what is done, how much of how much."""
    fit: Callable[[loop.Progress], None] = lambda progress: None
    """Progress of the training loop."""


@dataclass(frozen=True)
class Trained:
    """A finished run."""

    run: runs.Run
    best_epoch: int
    validation: dict[str, Any]
    test: dict[str, Any] | None
    """None where the data set has no test side."""
    problems: tuple[Problem, ...] = ()
    seconds: float = 0.0


def train(
    recipe: Recipe,
    *,
    out: Path | None = None,
    resume: Path | None = None,
    device: str = "auto",
    listener: Listener | None = None,
    preflight: Callable[[Net], None] | None = None,
) -> Trained:
    """Train by a recipe into a new run, or go on with `resume` by its own recipe.

    `preflight` is asked of the fresh net before anything is learned; it refuses by raising.
    Raises Unusable, NotThere or AnswerIsNo, each saying the way out. On KeyboardInterrupt the run is marked as
    stopped, its last finished epoch is kept, and the interrupt goes on to the caller.
    """
    listener = listener or Listener()
    need_tensorboard(recipe)
    loop.keep_freed_memory()
    with join() as world, Store() as store:
        chosen = pick_device(device, world.local_rank)
        return _train(recipe, out, resume, chosen, world, store, listener, preflight)


def _train(
    recipe: Recipe,
    out: Path | None,
    resume: Path | None,
    device: torch.device,
    world: World,
    store: Store,
    listener: Listener,
    preflight: Callable[[Net], None] | None,
) -> Trained:
    began = time.monotonic()
    with world.machine_first():
        ready = prepare(recipe, store, listener.say, listener.warn, listener.data, resume)
    recipe, data, waves = ready.recipe, ready.data, ready.waves
    _refuse_strangers(data, recipe, world)
    net = build(recipe, data)
    if preflight and not resume and world.main:
        preflight(net)
    before = bands(net)
    run = _run(recipe, out, resume, world)
    began_in: dict[str, str] = run.state().get("environment", {})
    if not resume and world.main:
        write_split(ready.split, run.folder / "split.csv")
    form = _form(net, recipe, device, run, world)
    if world.size > 1:
        share_norms(net, device)
    if recipe.transfer.method == "head":
        listener.say("the frozen body hears every window once; its embeddings are kept")
    method = METHODS[recipe.transfer.method or "full"]
    described = about(data, waves, recipe) | {"manifest_sha256": manifest_sha256(ready.split)}
    problem = method(Job(net, data, waves, recipe, described, device, listener.say, world))
    listener.say(f"training {recipe.net} on {_device_name(device)}{_how(form, world)} into {run.folder}")
    try:
        here = runs.environment(device, world.size)
        changed = [f"{name} {then} then, {here[name]} now" for name, then in began_in.items() if here.get(name) != then]
        if changed:
            listener.warn(f"{changed[0]}: the weights will not be bit by bit those of a run that was never stopped")
        if world.main:
            run.write_state("running", device=str(device), environment=here, form=form.name)
        with event_log(run, recipe, listener.fit, world.main) as tell:
            standing = loop.fit(problem, recipe, run, tell, resume=resume is not None, form=form, world=world)
    except KeyboardInterrupt:
        _stopped(run, world)
        where = (
            f"{run.last} holds what was learned until a minute ago" if run.last.exists() else "nothing was saved yet"
        )
        raise KeyboardInterrupt(f"stopped; {where}; go on with: xfer train --resume {run.folder}") from None
    except (AnswerIsNo, OSError):
        _stopped(run, world)
        raise
    except RuntimeError as error:
        if world.size == 1 or not lost_another(error):
            raise
        _stopped(run, world)
        raise NotThere(
            f"another process of this training is gone; go on with: xfer train --resume {run.folder}"
        ) from error
    validation, tested = finish(run, problem, ready, before, time.monotonic() - began, world)
    spent = time.monotonic() - began
    if world.main:
        best = standing.best_epoch
        run.write_state("finished", seconds=round(spent, 1), best_epoch=best, validation=validation["clip_accuracy"])
    return Trained(run, standing.best_epoch, validation, tested.to_json() if tested else None, ready.problems, spent)


def _run(recipe: Recipe, out: Path | None, resume: Path | None, world: World) -> runs.Run:
    """The run's folder, which the main process makes or opens; the others only know its name."""
    opened = (runs.reopen(resume) if resume else runs.start(recipe, out)) if world.main else None
    folder = world.from_main(opened.folder if opened else None)
    return opened or runs.Run(folder)


def _form(net: Net, recipe: Recipe, device: torch.device, run: runs.Run, world: World) -> Form:
    """The form of a step: the run's own where it goes on, else what measures fastest; all processes take the same."""
    form = BY_NAME.get(run.state().get("form", "")) if world.main else None
    if form is None and world.main:
        length = recipe.fit.crop or net.window
        form = choose(net, recipe.fit, device, length, runs.environment(device, world.size))
    form = BY_NAME[world.from_main(form.name if form else "")]
    form.apply(net)
    return form


def _refuse_strangers(data: DataSet, recipe: Recipe, world: World) -> None:
    """Raise Unusable where a process was given other data than the main one, or a batch is too small to share."""
    if recipe.fit.batch < world.size:
        raise Unusable(f"{world.size} processes cannot share a batch of {recipe.fit.batch}: set fit.batch higher")
    mine = (data.labels, [(name_of(clip), clip.label, clip.split) for clip in data.clips])
    if world.size > 1 and world.from_main(mine) != mine:
        raise Unusable("the data of this process is not that of the first: give every machine the same recordings")


def _stopped(run: runs.Run, world: World) -> None:
    if world.main:
        run.write_state("stopped")


def build(recipe: Recipe, data: DataSet) -> Net:
    """The net to train: fresh, or a source's body under a new head.

    Raises Unusable where the source is another net than the recipe's, or the method is unknown.
    """
    known = NETS[recipe.net]
    if recipe.fit.crop not in (0, known.window) and not (known.free_time and recipe.fit.crop >= known.window // 27):
        least = f"at least {known.window // 27}, or " if known.free_time else ""
        raise Unusable(f"{recipe.net} cannot be trained on fit.crop={recipe.fit.crop} samples: {least}0 for its window")
    torch.manual_seed(recipe.seed)
    if not recipe.transfer.source:
        if recipe.transfer.method == "head":
            raise Unusable("--transfer head needs a source: --from CHECKPOINT")
        net = create(recipe.net, len(data.labels), **recipe.options)
    else:
        source = load(Path(recipe.transfer.source))
        if source.net.name != recipe.net:
            raise Unusable(
                f"{source.path} is a {source.net.name}, not a {recipe.net}: leave --net out, or choose another source"
            )
        net = source.net
        change_head(net, recipe.options)
        replace_head(net, len(data.labels))
    margin_scale(recipe.fit, net.head)  # refused now, and not once everything has been prepared
    return net


def about(data: DataSet, waves: Waves, recipe: Recipe) -> dict[str, Any]:
    """What checkpoint and card say of the data; clips beyond `data.clips_per_class` are on no side and count not."""
    used = [clip for clip in data.clips if clip.split]
    return {
        "name": data.name,
        "layout": data.layout,
        "synthetic": data.synthetic,
        "classes": len(data.labels),
        "clips": len(used),
        "hours": round(seconds(waves, used) / 3600, 4),
        "licence": recipe.data.licence or data.licence,
        "attribution": recipe.data.attribution or data.attribution,
    }


def pick_device(word: str, place: int = 0) -> torch.device:
    """auto: CUDA when there, the CPU otherwise; `cuda` alone is the card at this `place` among those of the machine.

    Raises Unusable for an unknown word, NotThere for an absent card.
    """
    if word == "auto":
        word = "cuda" if torch.cuda.is_available() else "cpu"
    if word == "cuda" and place:
        word = f"cuda:{place}"
    if word != "cpu" and not word.startswith("cuda"):
        raise Unusable(f"no device is called {word!r}: auto, cpu, cuda or cuda:N")
    try:
        device = torch.device(word)
    except RuntimeError:
        raise Unusable(f"no device is called {word!r}: auto, cpu, cuda or cuda:N") from None
    if device.type == "cuda" and (not torch.cuda.is_available() or (device.index or 0) >= torch.cuda.device_count()):
        raise NotThere(f"{word} is not there: torch sees {torch.cuda.device_count()} CUDA devices; use --device cpu")
    return device


def _how(form: Form, world: World) -> str:
    words = [f"{world.size} processes"] if world.size > 1 else []
    words += [form.name] if form.name != "plain" else []
    return f" ({', '.join(words)})" if words else ""


def _device_name(device: torch.device) -> str:
    return (
        torch.cuda.get_device_name(device) if device.type == "cuda" else f"the CPU ({torch.get_num_threads()} threads)"
    )
