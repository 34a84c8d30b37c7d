"""The program `xfer`: its verbs, and what happens to every error.

A verb is one file with one function; what is heavy is imported inside that function, so `xfer --help` answers at once.
"""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Callable
from functools import wraps
from importlib import import_module
from typing import Any

import typer

from xfer.cli.console import complain, warn
from xfer.runtime.errors import XferError

VERBS = ("demo", "data", "train", "eval", "export", "verify", "bench", "listen", "speakers", "models", "doctor")
"""One file in this folder each, whose function has the verb's name; this is the order of `xfer --help`.

A verb with verbs of its own has a dictionary of functions there, and its help is the first line of the file's after the
name."""


class Stopped(XferError):
    """Ctrl-C, with what the verb says about it. typer would turn a KeyboardInterrupt into a bare exit code."""

    exit_code = 130


def _told_when_stopped(verb: Callable[..., int | None]) -> Callable[..., int | None]:
    @wraps(verb)
    def run(*words: Any, **options: Any) -> int | None:
        try:
            return verb(*words, **options)
        except KeyboardInterrupt as stopped:
            raise Stopped(str(stopped) or "stopped") from stopped

    return run


app = typer.Typer(
    name="xfer",
    help="Audio transfer learning that ends on the edge: train, export with proof, listen.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _register(verb: str) -> None:
    module = import_module(f"xfer.cli.{verb}")
    found = getattr(module, verb)
    if callable(found):
        app.command(verb)(_told_when_stopped(found))
        return
    about = str(module.__doc__).partition(": ")[2].strip()
    group = typer.Typer(help=about[:1].upper() + about[1:], no_args_is_help=True, rich_markup_mode=None)
    for name, part in found.items():
        group.command(name)(_told_when_stopped(part))
    app.add_typer(group, name=verb)


for _verb in VERBS:
    _register(_verb)


def main(arguments: list[str] | None = None) -> int:
    """Run one command line and return its exit code (CLI.md's table). `--debug` anywhere shows tracebacks."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    words = _with_optional_values([word for word in words if word != "--debug"])
    try:
        code = _run(words)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # The reader went away (`| head -1`): end quietly, and keep Python from complaining at its own last flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt as stopped:
        warn(str(stopped) or "stopped")
        return 130
    except (Exception, SystemExit) as error:  # noqa: BLE001  whatever it is, a user gets a sentence, and --debug the rest
        if debug and not isinstance(error, SystemExit):
            traceback.print_exc()
        return _explain(error)


def _with_optional_values(words: list[str]) -> list[str]:
    """What the parser cannot say: `--resume` alone is the newest unfinished run, `speakers add --mic` the default."""
    alone = {"--resume": "newest"} | ({"--mic": ""} if words[:1] == ["speakers"] else {})
    filled: list[str] = []
    for word, after in zip(words, [*words[1:], "--"], strict=False):
        filled += [word, alone[word]] if word in alone and after.startswith("-") else [word]
    return filled


def _run(words: list[str]) -> int:
    try:
        code = app(words, standalone_mode=False, prog_name="xfer")
    except typer.Exit as stop:
        return stop.exit_code
    return code if isinstance(code, int) else 0


def _explain(error: BaseException) -> int:
    """Say an error in one sentence and return its exit code."""
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 1
    if isinstance(error, XferError):
        (warn if isinstance(error, Stopped) else complain)(f"xfer: {error}")
        return error.exit_code
    if hasattr(error, "format_message"):  # typer's own: an unknown verb or option, a value of the wrong type
        complain(f"xfer: {error.format_message()}")
        context = getattr(error, "ctx", None)
        if context is not None:
            complain(f"try: {context.command_path} --help")
        return 2
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        complain(f"xfer: the disk is full{_where(error)}: free some space, or write elsewhere with --out")
        _drop_stdout()
        return 3
    if isinstance(error, PermissionError):
        complain(f"xfer: not allowed{_where(error)}: check who owns it, or choose another place")
        return 3
    if isinstance(error, MemoryError):
        complain("xfer: out of memory: use a smaller batch (--set fit.batch=N) or a shorter file")
        return 3
    complain(f"xfer: {type(error).__name__}: {error} (this is a fault of xfer: run again with --debug and report it)")
    return 1


def _where(error: OSError) -> str:
    return f" at {error.filename}" if error.filename else ""


def _drop_stdout() -> None:
    """Point stdout at nothing, so that the interpreter's last flush cannot fail a second time."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def entry() -> None:
    """The script `xfer`."""
    sys.exit(main())
