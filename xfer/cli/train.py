"""`xfer train`: train a source model, or transfer one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xfer.cli import console
from xfer.cli.console import next_steps, result, result_json, say, warn
from xfer.cli.progress import StepBar
from xfer.runtime.errors import Unusable

if TYPE_CHECKING:
    from collections.abc import Callable

    from xfer.train.nets import Net
    from xfer.train.recipe import Recipe
    from xfer.train.training import Trained


PAPER = "paper"


def train(
    data: Annotated[str, typer.Argument(help="Folder of a data set; without it: the embedded synthetic voices.")] = "",
    task: Annotated[str, typer.Option(help="speaker, genre, sound, command, or a name of your own.")] = "",
    net: Annotated[str, typer.Option(help="convnet or rawnet2; default: the task's.")] = "",
    layout: Annotated[str, typer.Option(help="Read the folder as this layout.")] = "",
    source: Annotated[str, typer.Option("--from", help="Checkpoint or run to transfer from.")] = "",
    transfer: Annotated[str, typer.Option(help="head (only a new last layer learns) or full.")] = "",
    epochs: Annotated[int | None, typer.Option(min=1, help="Passes over the data; default: the recipe's.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of weights, order and augmentation.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    out: Annotated[Path | None, typer.Option(help="The run's folder; default: runs/<task>-<net>-<time>.")] = None,
    recipe_file: Annotated[
        str, typer.Option("--recipe", metavar="FILE|paper", help="A run's recipe.toml, or the paper's own choices.")
    ] = "",
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Any field of the recipe.")
    ] = None,
    resume: Annotated[
        str, typer.Option(metavar="RUN", help="Go on with this run; 'newest': the newest unfinished one.")
    ] = "",
    devices: Annotated[
        int,
        typer.Option(
            min=1, help="So many processes on this machine share each batch, one a card where there are cards."
        ),
    ] = 1,
    preflight: Annotated[bool, typer.Option(help="Try first whether the net can be exported (a few seconds).")] = True,
    json: Annotated[bool, typer.Option("--json", help="The result as one JSON document on stdout.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Warnings and errors only.")] = False,
) -> int:
    """Train a source model, or transfer one (--from CHECKPOINT --transfer head|full)."""
    console.talk.quiet = quiet
    need_workshop()
    from xfer.train.world import is_spread, own_rank

    if devices > 1 and not is_spread():
        from xfer.cli.spread import spread

        return spread(devices, device)
    main = own_rank() == 0
    if not main:
        console.talk.hold()
    from xfer.train import runs
    from xfer.train.training import Listener
    from xfer.train.training import train as run_training

    shape = {"--task": task, "--net": net, "--layout": layout, "--from": source, "--transfer": transfer}
    if resume:
        more = {
            "DATA": data,
            "--epochs": epochs,
            "--seed": seed,
            "--out": out,
            "--recipe": recipe_file,
            "--set": settings,
        }
        _refuse(shape | more, "--resume goes on by the run's own recipe")
        folder = runs.newest_unfinished() if resume == "newest" else Path(resume)
        recipe = runs.Run(folder).recipe if (folder / "recipe.toml").exists() else runs.reopen(folder).recipe
    else:
        folder = None
        if recipe_file and recipe_file != PAPER:
            _refuse(shape, "--recipe says this itself")
            recipe = _from_file(Path(recipe_file), data, seed, epochs, settings or [])
        else:
            recipe = resolve(
                data, task, net, layout, source, transfer, epochs, seed or 0, settings or [], recipe_file == PAPER
            )
    with StepBar() as steps, console.EpochBar() as bar:
        told = Listener(say=say, warn=warn, data=steps.tell, fit=bar.tell)
        trained = run_training(
            recipe, out=out, resume=folder, device=device, listener=told, preflight=_preflight() if preflight else None
        )
    if main:
        _show(trained, recipe, json)
    return 0


def resolve(
    data: str,
    task: str,
    net: str,
    layout: str,
    source: str,
    transfer: str,
    epochs: int | None,
    seed: int,
    settings: list[str],
    paper: bool = False,
) -> Recipe:
    """The recipe that these options mean: the data's layout sets task and net, a source sets the net.

    Raises FileNotThere or Unusable as the data set, the source or a setting does.
    """
    from xfer.runtime.errors import nearest
    from xfer.train.checkpoint import load
    from xfer.train.data.layouts import TASK_NETS, read
    from xfer.train.recipe import default_recipe, paper_recipe, with_settings
    from xfer.train.training import EMBEDDED_SETTINGS
    from xfer.train.transfer import METHODS

    if transfer and transfer not in METHODS:
        raise Unusable(f"no transfer method is called {transfer!r}: {nearest(transfer, METHODS)}")
    if bool(source) != bool(transfer):
        raise Unusable("--from CHECKPOINT and --transfer head|full belong together")
    origin = load(Path(source)) if source else None
    if origin is not None and not net:
        net = origin.net.name
    if data:
        found = read(data, layout or None, task or None, net or None)
        task, net, layout = found.task, found.net, found.layout
    else:
        task = task or "speaker"
        net = net or TASK_NETS.get(task, "rawnet2")
    recipe = replace(default_recipe(task, net), seed=seed)
    if not data:
        recipe = with_settings(recipe, EMBEDDED_SETTINGS)
    if paper:
        recipe = paper_recipe(recipe)
    if origin is not None:
        recipe = replace(recipe, options=origin.net.options)
    recipe = replace(
        recipe,
        data=replace(recipe.data, path=data, layout=layout if data else ""),
        transfer=replace(recipe.transfer, source=source, method=transfer),
    )
    if epochs:
        recipe = replace(recipe, fit=replace(recipe.fit, epochs=epochs))
    return with_settings(recipe, settings)


def _preflight() -> Callable[[Net], None] | None:
    """Export's own look at a fresh net; without the extra there is none, and this is said."""
    from importlib.util import find_spec

    if find_spec("onnx") is None:
        warn("whether this net can be exported is not tried: that takes pip install 'xfer[export]'")
        return None
    from xfer.export.preflight import preflight

    return preflight


def _refuse(options: dict[str, Any], why: str) -> None:
    """Raise Unusable for an option that was given and would have no effect."""
    for name, value in options.items():
        if value:
            raise Unusable(f"{why}: leave {name} out")


def _from_file(path: Path, data: str, seed: int | None, epochs: int | None, settings: list[str]) -> Recipe:
    """A stored recipe, on other data, with another seed or other settings where these are given.

    Raises FileNotThere where it is missing, Unusable where it is no recipe.
    """
    from xfer.runtime.errors import FileNotThere
    from xfer.train.recipe import from_toml, with_settings

    if not path.is_file():
        raise FileNotThere(f"no recipe at {path}: every run has one, recipe.toml; the paper's own is --recipe paper")
    recipe = from_toml(path.read_text(encoding="utf-8"))
    if data:
        recipe = replace(recipe, data=replace(recipe.data, path=data, layout=""))
    if seed is not None:
        recipe = replace(recipe, seed=seed)
    if epochs:
        recipe = replace(recipe, fit=replace(recipe.fit, epochs=epochs))
    return with_settings(recipe, settings)


def need_workshop() -> None:
    """Raise NotThere, naming the extra, where what trains is not installed."""
    from importlib.util import find_spec

    from xfer.runtime.errors import need_extra

    for package in ("torch", "safetensors", "tomli_w"):
        if find_spec(package) is None:
            raise need_extra(package, "train")


def _show(trained: Trained, recipe: Recipe, as_json: bool) -> None:
    run = trained.run.folder
    if as_json:
        result_json(
            {
                "run": str(run),
                "checkpoint": str(trained.run.best),
                "task": recipe.task,
                "net": recipe.net,
                "best_epoch": trained.best_epoch,
                "validation": trained.validation,
                "test": trained.test,
                "problems": [problem.to_json() | {"left_out": problem.left_out} for problem in trained.problems],
                "seconds": round(trained.seconds, 1),
            }
        )
        return
    result(f"{trained.run.best}  best epoch {trained.best_epoch}, {trained.seconds:.0f} s")
    result(_line("validation", trained.validation))
    if trained.test is not None:
        result(_line("test", trained.test))
    say(f"report: {run / 'report.html'}")
    next_steps(f"xfer export {run} --format onnx", f"xfer listen --task {recipe.task} FILE")


def _line(side: str, metrics: dict[str, Any]) -> str:
    return (
        f"{side:<10} clips {metrics['clip_accuracy']:.1%} of {metrics['clips']}, "
        f"windows {metrics['window_accuracy']:.1%} of {metrics['windows']}, macro F1 {metrics['macro_f1']:.3f}"
    )
