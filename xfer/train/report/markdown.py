"""The report as Markdown, for a terminal or a pull request."""

from __future__ import annotations

from collections.abc import Iterator

from xfer.train.report.gather import Report


def markdown(report: Report) -> str:
    """The whole text."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    found = report.metrics
    yield f"# {_plain(report.title)}{' (SYNTHETIC)' if report.synthetic else ''}"
    yield ""
    yield (
        f"On the {report.side} side: {found.clip_accuracy:.1%} of {found.clips} clips right (95 %: "
        f"{report.interval[0]:.1%} to {report.interval[1]:.1%}), {found.window_accuracy:.1%} of {found.windows} "
        f"windows, macro F1 {found.macro_f1:.3f}, calibration error {report.calibration_error:.1%}."
    )
    yield ""
    for name, value in report.about.items():
        if value:
            yield f"- {name}: {_plain(value)}"
    yield ""
    yield "| class | recall | precision | F1 | clips |"
    yield "| --- | --- | --- | --- | --- |"
    for label, each in sorted(report.per_class.items(), key=lambda item: (item[1].f1, item[0])):
        yield f"| {_plain(label)} | {each.recall:.1%} | {each.precision:.1%} | {each.f1:.3f} | {each.clips} |"
    yield ""
    yield "| epoch | training loss | validation loss | clips right |"
    yield "| --- | --- | --- | --- |"
    for epoch in report.epochs:
        best = " (best)" if epoch.epoch == report.best_epoch else ""
        yield f"| {epoch.epoch}{best} | {epoch.train_loss:.3f} | {epoch.loss:.3f} | {epoch.clip_accuracy:.1%} |"
    if report.mistakes:
        yield ""
        yield "Surest mistakes:"
        yield ""
        for wrong in report.mistakes:
            names = f"{_plain(wrong.label)} taken for {_plain(wrong.taken_for)}"
            yield f"- {_plain(str(wrong.clip.path))}: {names} with {wrong.score:.0%}"


def _plain(text: str) -> str:
    """Text that means nothing else in Markdown."""
    return "".join(f"\\{letter}" if letter in "\\`*_[]<>|#" else letter for letter in text).replace("\n", " ")
