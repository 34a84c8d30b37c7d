"""What `xfer data` prints: overview, classes, splits, problems. Coloured on a terminal only; labels and names of files
are text, whatever they hold."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from xfer.cli.console import result
from xfer.train.data.clips import SPLITS
from xfer.train.data.summary import UNSPLIT, Spread, Summary
from xfer.train.data.wording import WHAT_TO_DO, Kindred, by_kind, channels, count, length, lengths, printable, said

WIDEST = 120
"""Columns; a line longer than this is hard to follow, whatever the terminal."""
CLASSES_SHOWN = (16, 8)
"""Of many classes, the largest and the smallest."""
PROBLEMS_SHOWN, FILES_SHOWN = 8, 4
"""Of each kind, and of each problem."""
ALL = "(--json lists all)"
COLOURS = {"error": "bold red", "warning": "yellow"}


def show(summary: Summary) -> None:
    """Print a summary as tables on stdout."""
    terminal = sys.stdout.isatty()
    console = Console(
        file=sys.stdout,
        force_terminal=terminal,
        no_color=bool(os.environ.get("NO_COLOR")),
        highlight=False,
        emoji=False,
    )
    console.width = min(console.width, WIDEST)
    bar = "█▏▎▍▌▋▊▉" if "utf" in console.encoding.lower() else "#"
    with console.capture() as captured:
        for part in tables(summary, console.width, bar):
            console.print(part)
        for line in problem_lines(summary, console.width if terminal else None):
            console.print(line, soft_wrap=True)
    for shown in captured.get().splitlines():
        result(shown.rstrip())


def tables(summary: Summary, width: int, blocks: str) -> Iterator[RenderableType]:
    """Overview, classes, values and splits, each with an empty line before it."""
    yield _overview(summary)
    if any(summary.classes):
        yield Text()
        yield from _classes(summary, width, blocks)
    if summary.values:
        yield Text()
        yield _values(summary.values)
    yield Text()
    yield _splits(summary)


def _overview(summary: Summary) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    groups = summary.groups
    largest = f", the largest {printable(groups.largest)!r} with {groups.largest_clips:,}" if groups.number else ""
    unusable = summary.total.clips - summary.usable
    rows = [
        ("data", f"{printable(summary.name)}{'  SYNTHETIC: generated, not recorded' if summary.synthetic else ''}"),
        ("layout", f"{summary.layout}: task {summary.task}, net {summary.net}"),
        ("clips", f"{summary.total.clips:,}{f', of which {unusable:,} cannot be used' if unusable else ''}"),
        ("groups", f"{groups.number:,}{largest if groups.largest_clips > 1 else ', one clip each'}"),
        ("length", f"{length(summary.total.seconds)}{f'; {lengths(summary.durations)}' if summary.durations else ''}"),
        ("rate", ", ".join(f"{rate:,} Hz ({clips:,})" for rate, clips in summary.sample_rates.items())),
        ("channels", ", ".join(f"{channels(each)} ({clips:,})" for each, clips in summary.channels.items())),
        ("background", f"{count(summary.background, 'recording')} of no class" if summary.background else ""),
        ("licence", printable(summary.licence)),
        *(("note", printable(note)) for note in summary.notes),
    ]
    for name, value in rows:
        if value:
            table.add_row(name, Text(value, style="bold yellow" if "SYNTHETIC" in value else ""))
    return table


def _classes(summary: Summary, width: int, blocks: str) -> Iterator[RenderableType]:
    """The largest first; of many, those at both ends."""
    ordered = sorted(summary.classes, key=lambda label: (-summary.classes[label].total.clips, label))
    first, last = CLASSES_SHOWN
    left_out = max(0, len(ordered) - first - last)
    left_out = left_out if left_out > 4 else 0
    shown = [*ordered[:first], *ordered[-last:]] if left_out else ordered
    names = {label: printable(label) or "(no label)" for label in shown}
    label_width = min(max(cell_len(name) for name in [*names.values(), _title(summary)]), width * 2 // 5)
    bar_width = min(40, width - label_width - 26)
    top = max(each.total.clips for each in summary.classes.values())
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column(_title(summary), no_wrap=True, overflow="ellipsis", width=label_width)
    table.add_column("clips", justify="right", no_wrap=True)
    table.add_column("length", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True, width=bar_width)
    for index, label in enumerate(shown):
        if left_out and index == first:
            table.add_row(Text("..."))
        total = summary.classes[label].total
        table.add_row(
            Text(names[label]),
            f"{total.clips:,}",
            length(total.seconds),
            Text(bar(total.clips / top, bar_width, blocks), style="cyan"),
        )
    yield table
    if left_out:
        yield Text(f"... and {left_out:,} more between them {ALL}")


def _title(summary: Summary) -> str:
    return count(len(summary.classes), "class")


def bar(share: float, width: int, blocks: str) -> str:
    """A bar of `share` (0 to 1) of `width` columns; `blocks` are the full block and its parts from thin to wide."""
    parts = round(share * width * len(blocks))
    full, part = divmod(max(parts, 1), len(blocks))
    return blocks[0] * full + (blocks[part] if part else "")


def _splits(summary: Summary) -> Table:
    """Each side, with how many classes it has."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("split", no_wrap=True, min_width=10)
    for name in ("clips", "share", "length", "classes"):
        table.add_column(name, justify="right", no_wrap=True)
    for side in (*SPLITS, UNSPLIT):
        amount = summary.splits.get(side)
        if amount is None:
            continue
        classes = sum(side in each.sides for each in summary.classes.values())
        share = f"{amount.clips / summary.total.clips:.1%}"
        table.add_row(side, f"{amount.clips:,}", share, length(amount.seconds), f"{classes:,}")
    return table


def _values(values: Mapping[str, Spread]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("value", no_wrap=True, min_width=10)
    for name in ("lowest", "quartile", "median", "quartile", "highest"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, spread in values.items():
        numbers = (spread.lowest, *spread.quartiles, spread.highest)
        table.add_row(Text(printable(name)), *(f"{number:.4g}" for number in numbers))
    return table


def problem_lines(summary: Summary, width: int | None) -> Iterator[Text]:
    """Everything wrong, by kind, errors first; wrapped at `width` columns, or not at all (None: for grep)."""
    if not summary.problems:
        yield Text("\nnothing wrong was found", style="green")
        return
    for kindred in by_kind(summary.problems):
        named = count(len(kindred.problems), kindred.severity)
        yield Text.assemble("\n", (f"{kindred.kind}: {named}", COLOURS[kindred.severity]))
        yield from _wrapped(WHAT_TO_DO[kindred.kind], "  ", width, "dim")
        yield from _problems(kindred, summary.root, width)


def _problems(kindred: Kindred, root: Path, width: int | None) -> Iterator[Text]:
    for problem in kindred.problems[:PROBLEMS_SHOWN]:
        words = said(problem, root)
        yield from _wrapped(f"- {words.sentence}", "  ", width)
        for path in words.more[:FILES_SHOWN]:
            yield Text(f"      {path}")
        if len(words.more) > FILES_SHOWN:
            yield Text(f"      ... and {len(words.more) - FILES_SHOWN:,} more {ALL}")
    if len(kindred.problems) > PROBLEMS_SHOWN:
        yield Text(f"  ... and {len(kindred.problems) - PROBLEMS_SHOWN:,} more {ALL}")


def _wrapped(text: str, indent: str, width: int | None, style: str = "") -> Iterator[Text]:
    """Lines broken between words only: a path stays in one piece, to be copied."""
    lines: Sequence[str] = [indent + text]
    if width is not None:
        later = indent + ("  " if text.startswith("- ") else "")
        lines = textwrap.wrap(
            text, width, initial_indent=indent, subsequent_indent=later, break_long_words=False, break_on_hyphens=False
        )
    for line in lines:
        yield Text(line, style=style)
