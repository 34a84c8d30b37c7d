"""What a training comes to: `report.html`, `report.md` and `report.json` in the run's folder."""

from __future__ import annotations

import json
from pathlib import Path

from xfer.runtime.atomic import write_atomically
from xfer.train.report.document import document
from xfer.train.report.gather import Bands, Report, gather
from xfer.train.report.markdown import markdown

__all__ = ["Bands", "Report", "gather", "write_report"]


def write_report(report: Report, folder: Path) -> Path:
    """Write all three; the page's path. Raises OSError where they cannot be written."""
    text = json.dumps(report.to_json(), ensure_ascii=False, indent=2)
    write_atomically(folder / "report.json", f"{text}\n".encode("utf-8", "surrogateescape"))
    write_atomically(folder / "report.md", markdown(report).encode("utf-8", "surrogateescape"))
    write_atomically(folder / "report.html", document(report).encode("utf-8", "surrogateescape"))
    return folder / "report.html"
