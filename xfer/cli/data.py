"""`xfer data`: what is in a data set, and everything wrong with it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_type_hints

import typer

from xfer.cli import console
from xfer.cli.console import next_steps, result_json, say, warn
from xfer.cli.progress import StepBar
from xfer.runtime.errors import FileNotThere, Unusable, nearest, need_extra

if TYPE_CHECKING:
    from xfer.train.data.cache import Store
    from xfer.train.data.check import Checked
    from xfer.train.data.clips import DataSet
    from xfer.train.data.recipe import DataRecipe
    from xfer.train.data.summary import Summary
    from xfer.train.recipe import Recipe


def data(
    data: Annotated[str, typer.Argument(help="Folder of a data set; without it: the embedded synthetic voices.")] = "",
    layout: Annotated[str, typer.Option(help="Read the folder as this layout.")] = "",
    task: Annotated[str, typer.Option(help="speaker, genre, sound, command, or a name of your own.")] = "",
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a page: histograms, an example of each class, problems.")
    ] = None,
    cache: Annotated[bool, typer.Option("--cache", help="Fill the decoded cache ahead of training.")] = False,
    shards: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write WebDataset tar shards of what can be used into DIR.")
    ] = None,
    augment: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write clips before and after each augmentation, to be seen and heard."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="augment.KEY=VALUE", help="With --augment: what it draws from."),
    ] = None,
    split: Annotated[
        str, typer.Option(metavar="WAY", help="auto, group, folds, paper, or a run or file whose split is used.")
    ] = "auto",
    fold: Annotated[int | None, typer.Option(help="With --split folds: the fold that tests.")] = None,
    folds: Annotated[
        int | None, typer.Option(min=2, help="With --split folds: how many, where none are published.")
    ] = None,
    clips_per_class: Annotated[int, typer.Option(min=0, help="At most so many training clips a class; 0: all.")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the split.")] = 0,
    rate: Annotated[
        int | None,
        typer.Option(min=1000, max=384_000, metavar="HZ", help="With --cache: its rate; default: the net's."),
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes that decode; default: one a core.")] = None,
    json: Annotated[bool, typer.Option("--json", help="The result as one JSON document on stdout.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Warnings and errors only.")] = False,
) -> int:
    """What is in a data set: layout, classes, hours, splits, and everything wrong with it (exit 1: errors)."""
    console.talk.quiet = quiet
    if find_spec("loky") is None:
        raise need_extra("loky", "train")
    how = _how(data, layout, split, fold, folds, clips_per_class, seed)
    _refuse_place(html, folder=False)
    _refuse_place(shards, folder=True)
    _refuse_place(augment, folder=True, empty=True)
    if settings and augment is None:
        raise Unusable("--set belongs to --augment DIR here: name its folder, or give it to xfer train")
    from xfer.train.data.cache import Store
    from xfer.train.data.check import check
    from xfer.train.data.open import rate_of
    from xfer.train.data.summary import summarise

    found = _read(how, task)
    say(f"{found.name}: {len(found.clips):,} clips, {len(found.labels):,} classes ({found.layout}); looking at each")
    recipe = _augmentation(found.task, found.net, settings or []) if augment else None
    rates = (rate or rate_of(found.net),) if cache or rate else ()
    extra: dict[str, Any] = {}
    with StepBar() as bar, _kept_when_stopped(), Store() as store:
        checked = _split(check(found, store, rates, workers=workers, progress=bar.tell), how)
        summary = summarise(checked)
        if rates:
            extra["cache"] = _cached(store, rates[0])
        if html:
            from xfer.train.data.page import write_page

            write_page(checked, summary, html, bar.tell)
            extra["html"] = str(html)
        if shards:
            from xfer.train.data.shards import write_shards

            usable = checked.usable()
            written = write_shards(usable, shards, progress=lambda done, of: bar.tell("writing shards", done, of))
            say(f"{len(usable.clips):,} clips in {len(written):,} shards: {shards}")
            extra["shards"] = [str(path) for path in written]
        if augment and recipe:
            from xfer.train.augment.page import write_augmented
            from xfer.train.data.waves import Waves

            heard = Waves(rate_of(found.net), store)
            made = write_augmented(checked, heard, recipe.augment, recipe.fit.gain_db, seed, augment, bar.tell)
            say(f"before and after: {made.page}")
            extra["augment"] = {"page": str(made.page), "sheets": [str(path) for path in made.sheets]}
    if json:
        result_json(summary.to_json() | extra)
    else:
        from xfer.cli.table import show

        show(summary)
    _close(summary, how, task, html)
    return 1 if summary.errors else 0


def _how(path: str, layout: str, way: str, fold: int | None, folds: int | None, clips: int, seed: int) -> DataRecipe:
    """The recipe's part that these options mean. Raises Unusable where they contradict each other."""
    from xfer.train.data.recipe import DataRecipe

    schemes = get_args(get_type_hints(DataRecipe)["scheme"])
    scheme: Any = way
    how = DataRecipe(path=path, layout=layout, split_seed=seed, clips_per_class=clips)
    if way in schemes:
        how = replace(how, scheme=scheme)
    elif Path(way).exists():
        how = replace(how, split_file=way)
    elif "/" in way or "." in way:
        raise FileNotThere(f"no split at {way}: name a run, or the split.csv in it")
    else:
        raise Unusable(f"no way to split is called {way!r}: {nearest(way, schemes)}")
    if fold is not None or folds is not None:
        if way not in ("auto", "folds"):
            raise Unusable(f"--fold and --folds belong to --split folds, not to --split {way}")
        how = replace(how, scheme="folds", fold=fold or 1, folds=folds or 0)
    return how


def _refuse_place(place: Path | None, *, folder: bool, empty: bool = False) -> None:
    """Raise Unusable where FILE is a folder, or DIR a file, or not `empty`: before hours of decoding."""
    if place is not None and place.exists() and place.is_dir() != folder:
        raise Unusable(f"{place} is a {'file' if folder else 'folder'}: name a {'folder' if folder else 'file'}")
    if place is not None and empty and place.is_dir() and any(place.iterdir()):
        raise Unusable(f"{place} holds something already: name a new folder, or empty this one first")
    for above in place.parents if place is not None else ():
        if above.exists() and not above.is_dir():
            raise Unusable(f"{above} is a file, so {place} cannot be written: name another place")


def _read(how: DataRecipe, task: str) -> DataSet:
    from xfer.train.data.open import read_data

    if not how.path:
        if find_spec("scipy") is None:
            raise need_extra("scipy", "train")
        say("no data given: SYNTHETIC voices made by xfer are looked at, no people (see README.md)")
    return read_data(how.path, how.layout, task or None, None)


def _augmentation(task: str, net: str, settings: list[str]) -> Recipe:
    """The recipe whose effects are shown: all of them, but for what the settings say.

    Raises Unusable for a setting of something else.
    """
    for package in ("torch", "matplotlib"):
        if find_spec(package) is None:
            raise need_extra(package, "train")
    from xfer.train.augment.recipe import PROBABILITIES
    from xfer.train.recipe import default_recipe, field_names, with_settings

    recipe = default_recipe(task, net)
    shown = [name for name in field_names(recipe) if name.startswith("augment.")] + ["fit.gain_db"]
    for setting in settings:
        name = setting.partition("=")[0].strip()
        if name not in shown:
            raise Unusable(f"--augment shows no {name!r}: {nearest(name, shown)}")
    return with_settings(recipe, [*(f"augment.{name}=1" for name in PROBABILITIES), *settings])


def _split(checked: Checked, how: DataRecipe) -> Checked:
    """The same, split as training would split it. A data set that cannot be split is shown too, with that as an error.

    Raises Unusable where the options make no split of it.
    """
    from xfer.train.data.problems import Problem
    from xfer.train.data.recipe import DataRecipe
    from xfer.train.data.splits import leaks, split

    found = checked.data
    usable = [facts.fault is None for facts in checked.facts]
    if not any(usable):
        return checked
    try:
        # As training does: without what cannot be used, which then stands on no side.
        placed = split(found.with_clips(tuple(compress(found.clips, usable))), how)
    except Unusable as error:
        if how != DataRecipe(path=how.path, layout=how.layout, split_seed=how.split_seed):
            raise
        return replace(checked, problems=(Problem("few", "error", (), str(error)), *checked.problems))
    sides = iter(placed.clips)
    clips = tuple(
        next(sides) if good else replace(clip, split=None) for clip, good in zip(found.clips, usable, strict=True)
    )
    data = placed.with_clips(clips)
    problems = list(checked.problems)
    if how.scheme != "auto" or how.split_file:  # another split than the published one leaks something else
        problems = [problem for problem in problems if problem.kind != "leak"] + leaks(data)
        problems.sort(key=lambda problem: problem.severity != "error")
    return replace(checked, data=data, problems=tuple(problems))


@contextmanager
def _kept_when_stopped() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt("stopped; what was decoded is kept: the same command goes on from there") from None


def _cached(store: Store, rate: int) -> dict[str, Any]:
    """What `--cache` did, for `--json`."""
    if store.full:
        warn(
            f"the cache at {store.folder} is full: what is not in it is decoded anew in each epoch; "
            "free some space, or allow it more with XFER_CACHE_GB"
        )
    else:
        say(f"decoded at {rate:,} Hz into {store.folder}")
    return {"folder": str(store.folder), "rate": rate, "full": store.full}


def _close(summary: Summary, how: DataRecipe, task: str, html: Path | None) -> None:
    """The last words: the answer, and what to type next."""
    warnings = len(summary.problems) - summary.errors
    if summary.errors:
        told = f"{summary.errors:,} errors" if summary.errors > 1 else "one error"
        more = f", {warnings:,} warnings" if warnings > 1 else ", one warning" if warnings else ""
        warn(f"{told}{more}: what is left out or wrong is named above; a training on it would be worse than it need be")
    if html:
        say(f"page: {html}")
    words = [shlex.quote(how.path)] if how.path else []
    words += ["--layout", how.layout] if how.layout else []
    words += ["--task", shlex.quote(task)] if task else []
    looked = " ".join(["xfer data", *words])
    if how.scheme == "auto" and not how.split_file and any(problem.kind == "leak" for problem in summary.problems):
        how = replace(how, scheme="group")
    default = type(how)()
    for each in ("scheme", "fold", "folds", "split_seed", "split_file", "clips_per_class"):
        value = getattr(how, each)
        if value != getattr(default, each):
            words += ["--set", shlex.quote(f"data.{each}={value}")]
    next_steps(" ".join(["xfer train", *words]), *([] if html else [f"{looked} --html data.html"]))
