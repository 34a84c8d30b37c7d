"""`xfer models`: the models that are here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from xfer.cli.console import next_steps, result, result_json, say, talk, warn

if TYPE_CHECKING:
    from xfer.runtime.card import Card
    from xfer.runtime.models import Found

_COLUMNS = ("task", "name", "net", "classes", "metric", "size", "parity", "unknown", "trained on", "path")


def models(
    as_json: Annotated[bool, typer.Option("--json", help="The result as one JSON document.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Nothing but warnings on stderr.")] = False,
) -> int:
    """List the models that listen would find: task, classes, metric, size, parity, and the broken ones with why."""
    from xfer.runtime.models import find_models, places

    talk.quiet = quiet
    found = find_models()
    if as_json:
        result_json({"models": [_document(entry) for entry in found], "places": [str(folder) for folder in places()]})
        return 0
    rows = [_row(entry, entry.card) for entry in found if entry.card is not None]
    if rows:
        widths = [max(len(row[i]) for row in [_COLUMNS, *rows]) for i in range(len(_COLUMNS))]
        for row in [_COLUMNS, *rows]:
            result("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    for entry in found:
        if entry.card is None:
            warn(f"cannot be used: {entry.problem}")
    if not rows:
        say(f"no models here (looked in {', '.join(str(folder) for folder in places())})")
        next_steps("xfer train", "xfer export --format onnx")
        return 0
    next_steps(f"xfer listen --task {rows[0][0]}", f"xfer verify {rows[0][-1]}")
    return 0


def _document(entry: Found) -> dict[str, Any]:
    card = entry.card
    if card is None:
        return {"path": str(entry.path), "problem": entry.problem}
    return {
        "path": str(entry.path),
        "task": card.task,
        "name": card.name,
        "net": card.net,
        "format": card.format,
        "precision": card.precision,
        "classes": len(card.labels),
        "labels": list(card.labels),
        "metrics": card.metrics,
        "bytes": entry.size,
        "parity": card.parity,
        "synthetic": card.synthetic,
        "data": card.data,
        "licence": card.licence,
        "threshold": card.threshold,
        "threshold_origin": card.threshold_origin,
        "calibration": card.calibration,
        "description": card.description,
    }


def _row(entry: Found, card: Card) -> tuple[str, ...]:
    from xfer.runtime.card import describe_metrics, describe_parity, describe_threshold

    return (
        card.task,
        card.name,
        card.net,
        str(len(card.labels)),
        describe_metrics(card.metrics) or "not measured",
        f"{entry.size / 1e6:.1f} MB",
        describe_parity(card.parity) or "not measured",
        "uncalibrated" if card.threshold is None else describe_threshold(card),
        f"{card.data.get('name', 'unknown')}{' (synthetic)' if card.synthetic else ''}",
        str(entry.path),
    )
