"""One training from a recipe to a finished run: data set, split, check, net, transfer, fit, test."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from xfer.runtime.errors import AnswerIsNo, NotThere, Unusable
from xfer.train import fit as loop
from xfer.train import runs
from xfer.train.checkpoint import load, save_checkpoint
from xfer.train.data.cache import Store
from xfer.train.data.clips import DataSet, Split
from xfer.train.data.problems import Problem
from xfer.train.data.splits import write_split
from xfer.train.data.waves import Waves, seconds
from xfer.train.metrics import Metrics, measure
from xfer.train.nets import NETS, Net, create, replace_head
from xfer.train.nets.frontends import Sinc
from xfer.train.preparing import Prepared, prepare
from xfer.train.recipe import Recipe
from xfer.train.report import Bands, gather, write_report
from xfer.train.transfer import METHODS, HeadOnly, Job, WholeNet

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
    chosen = pick_device(device)
    loop.keep_freed_memory()
    with Store() as store:
        return _train(recipe, out, resume, chosen, store, listener, preflight)


def _train(
    recipe: Recipe,
    out: Path | None,
    resume: Path | None,
    device: torch.device,
    store: Store,
    listener: Listener,
    preflight: Callable[[Net], None] | None,
) -> Trained:
    began = time.monotonic()
    ready = prepare(recipe, store, listener.say, listener.warn, listener.data, resume)
    recipe, data, waves = ready.recipe, ready.data, ready.waves
    net = build(recipe, data)
    if preflight and not resume:
        preflight(net)
    before = _bands(net)
    run = runs.reopen(resume) if resume else runs.start(recipe, out)
    began_in: dict[str, str] = run.state().get("environment", {})
    if not resume:
        write_split(ready.split, run.folder / "split.csv")
    if recipe.transfer.method == "head":
        listener.say("the frozen body hears every window once; its embeddings are kept")
    method = METHODS[recipe.transfer.method or "full"]
    problem = method(Job(net, data, waves, recipe, about(data, waves, recipe), device, listener.say))
    listener.say(f"training {recipe.net} on {_device_name(device)} into {run.folder}")
    try:
        here = runs.environment(device)
        changed = [f"{name} {then} then, {here[name]} now" for name, then in began_in.items() if here.get(name) != then]
        if changed:
            listener.warn(f"{changed[0]}: the weights will not be bit by bit those of a run that was never stopped")
        run.write_state("running", device=str(device), environment=here)
        standing = loop.fit(problem, recipe, run, listener.fit, resume=resume is not None)
    except KeyboardInterrupt:
        run.write_state("stopped")
        where = (
            f"{run.last} holds what was learned until a minute ago" if run.last.exists() else "nothing was saved yet"
        )
        raise KeyboardInterrupt(f"stopped; {where}; go on with: xfer train --resume {run.folder}") from None
    except (AnswerIsNo, OSError):
        run.write_state("stopped")
        raise
    tested = _finish(run, problem, ready, before, time.monotonic() - began)
    spent = time.monotonic() - began
    best = load(run.best)
    run.write_state(
        "finished",
        seconds=round(spent, 1),
        best_epoch=standing.best_epoch,
        validation=best.metrics["validation"]["clip_accuracy"],
    )
    return Trained(
        run,
        standing.best_epoch,
        best.metrics["validation"],
        tested.to_json() if tested else None,
        ready.problems,
        spent,
    )


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
        return create(recipe.net, len(data.labels), **recipe.options)
    source = load(Path(recipe.transfer.source))
    if source.net.name != recipe.net:
        raise Unusable(
            f"{source.path} is a {source.net.name}, not a {recipe.net}: leave --net out, or choose another source"
        )
    replace_head(source.net, len(data.labels))
    return source.net


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


def pick_device(word: str) -> torch.device:
    """auto: CUDA when there, the CPU otherwise. Raises Unusable for an unknown word, NotThere for an absent card."""
    if word == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if word != "cpu" and not word.startswith("cuda"):
        raise Unusable(f"no device is called {word!r}: auto, cpu, cuda or cuda:N")
    try:
        device = torch.device(word)
    except RuntimeError:
        raise Unusable(f"no device is called {word!r}: auto, cpu, cuda or cuda:N") from None
    if device.type == "cuda" and (not torch.cuda.is_available() or (device.index or 0) >= torch.cuda.device_count()):
        raise NotThere(f"{word} is not there: torch sees {torch.cuda.device_count()} CUDA devices; use --device cpu")
    return device


def _finish(
    run: runs.Run, problem: HeadOnly | WholeNet, ready: Prepared, before: Edges | None, seconds: float
) -> Metrics | None:
    """Measure the best weights once on the test side, if there is one; store that in the best checkpoint; report."""
    best = load(run.best)
    problem.net.load_state_dict(best.net.state_dict())
    side: Split = "test" if ready.data.of("test") else "validation"
    heard = problem.hear(side)
    tested = measure(heard.scores, heard.owners, heard.truth, problem.labels) if side == "test" else None
    if tested is not None:
        save_checkpoint(
            run.best,
            problem.net,
            task=best.task,
            labels=best.labels,
            recipe=asdict(ready.recipe),
            metrics=best.metrics | {"test": tested.to_json()},
            data=best.data,
        )
        run.log({"split": "test", "epoch": best.metrics["epoch"], "test": tested.to_json()})
    recipe, told, after = ready.recipe, problem.data, _bands(problem.net)
    what = f"{told['clips']} clips, {60 * told['hours']:.1f} min, {told['classes']} classes, licence {told['licence']}"
    environment = run.state().get("environment", {})
    report = gather(
        heard,
        ready.data.of(side),
        problem.labels,
        run.rows(),
        title=f"{recipe.task}: {recipe.net} on {told['name']}",
        synthetic=bool(told["synthetic"]),
        about={
            "data": what,
            "started from": f"{recipe.transfer.source}, {recipe.transfer.method}"
            if recipe.transfer.source
            else "scratch",
            "trained": f"{len(run.rows())} epochs, {seconds:.0f} s in this call",
            "machine": ", ".join(f"{name} {value}" for name, value in environment.items()),
            "run": str(run.folder),
        },
        side=side,
        best_epoch=int(best.metrics["epoch"]),
        bands=Bands(before, after) if before is not None and after is not None else None,
        problems=ready.problems,
        recipe=recipe.to_toml(),
    )
    write_report(report, run.folder)
    return tested


def _bands(net: Net) -> Edges | None:
    """Pass bands of a sinc front-end, Hz, (filters, 2); None of another."""
    if not isinstance(net.frontend, Sinc):
        return None
    return torch.stack(net.frontend.bands(), dim=1).detach().cpu().double().numpy()


def _device_name(device: torch.device) -> str:
    return (
        torch.cuda.get_device_name(device) if device.type == "cuda" else f"the CPU ({torch.get_num_threads()} threads)"
    )
