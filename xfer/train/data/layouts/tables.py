"""Metadata tables: what can be wrong with one is said in a sentence that names the file, and the line.

UTF-8 with or without a byte order mark. Nothing in a table is trusted: numbers are checked, garbage is refused.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Collection, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from xfer.runtime.errors import Unusable
from xfer.train.data.clips import Split
from xfer.train.data.layouts.tree import first_few, problem, shown
from xfer.train.data.problems import Problem
from xfer.train.data.splits import WORDS


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table."""

    table: Path
    line: int
    """The line in the file where it ends, from 1."""
    cells: Sequence[str]
    columns: dict[str, int]

    def __getitem__(self, column: str) -> str:
        """The cell, without spaces around it. Raises Unusable where the row is too short for it."""
        try:
            return self.cells[self.columns[column]].strip()
        except IndexError:
            raise self.wrong(f"has {len(self.cells)} cells, none for the column {column!r}") from None

    def whole(self, column: str) -> int:
        """A whole number. Raises Unusable."""
        try:
            return int(self[column])
        except ValueError:
            raise self.wrong(f"{column} {self[column][:40]!r} is no whole number") from None

    def number(self, column: str) -> float:
        """A finite number. Raises Unusable."""
        try:
            value = float(self[column])
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise self.wrong(f"{column} {self[column][:40]!r} is no number")
        return value

    def side(self, column: str) -> Split:
        """A side of the split. Raises Unusable for a word that names none."""
        word = self[column].lower()
        if word not in WORDS:
            raise self.wrong(f"{column} {word[:40]!r} is none of {', '.join(WORDS)}")
        return WORDS[word]

    def wrong(self, what: str) -> Unusable:
        """The error for this row."""
        return Unusable(f"{self.table}, line {self.line}: {what}")


def rows_of(table: Path, needed: Collection[str], *, headers: int = 1, skipped: int = 0) -> Iterator[Row]:
    """The rows of a CSV table, one at a time.

    The first `headers` rows together name the columns, their cells joined with a dot ("track.genre_top"); `skipped`
    rows follow that are no data. Raises Unusable where a needed column is missing, there is no row, or it is no table.
    """
    lines = text_lines(table)
    reader = csv.reader(lines)
    try:
        names = [".".join(parts).strip() for parts in zip(*(next(reader, []) for _ in range(headers)), strict=False)]
        if not any(names):
            raise Unusable(f"{table} is empty: get it again, it must begin with {', '.join(sorted(needed))}")
        columns = {name: index for index, name in reversed(list(enumerate(names)))}
        for name in sorted(needed):
            if name not in columns:
                raise Unusable(f"{table} lacks the column {name!r}; it has {', '.join(names)[:200]}")
        for _ in range(skipped):
            next(reader, None)
        empty = True
        for cells in reader:
            if cells:
                empty = False
                yield Row(table, reader.line_num, cells, columns)
    except csv.Error as error:
        raise Unusable(f"{table}, line {reader.line_num + 1}: is no CSV ({error}): get it again") from None
    finally:
        lines.close()
    if empty:
        raise Unusable(f"{table} has its header and no rows: get it again")


def text_of(file: Path) -> list[str]:
    """The lines of a text file, without their ends. Raises Unusable where it is no text."""
    return [line.rstrip("\r\n") for line in text_lines(file)]


def absent(table: Path, missing: Sequence[str], listed: int, where: Path) -> tuple[Problem, ...]:
    """What to say of recordings that a table lists and that are not there.

    `missing`: their paths. Raises Unusable where all of the `listed` are missing, saying where they should be.
    """
    if missing and len(missing) == listed:
        raise Unusable(
            f"{table} lists {listed} recordings and none is under {where} (the first would be {shown(missing[0])}): "
            "put the audio there"
        )
    if not missing:
        return ()
    return (
        problem(
            f"{len(missing)} of {listed} recordings that {table} lists are not there, and left out: "
            f"{first_few(missing)}: fetch them if they should be",
            map(Path, missing),
        ),
    )


def unlisted(table: Path, extra: Sequence[Path]) -> tuple[Problem, ...]:
    """What to say of recordings that are in no row of a table."""
    if not extra:
        return ()
    return (
        problem(
            f"{len(extra)} recordings are in no row of {table}, and left out: {first_few([*map(str, extra)])}",
            extra,
        ),
    )


def text_lines(file: Path) -> Generator[str]:
    """A text file's lines as decoded one by one, so that what is wrong has a line. Raises Unusable."""
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if number == 1:
                if line.startswith((b"\xff\xfe", b"\xfe\xff")):
                    raise Unusable(f"{file} is UTF-16, not UTF-8: save it as UTF-8")
                line = line.removeprefix(b"\xef\xbb\xbf")
            if b"\0" in line:
                raise Unusable(f"{file}, line {number}: holds zero bytes, so it is no text: get it again")
            try:
                yield line.decode()
            except UnicodeDecodeError as error:
                raise Unusable(
                    f"{file}, line {number}: is not UTF-8 (byte 0x{line[error.start]:02X}): save it as UTF-8, "
                    "for instance with iconv -f latin1 -t utf-8"
                ) from None
