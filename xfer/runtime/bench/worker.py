"""The process in which one way to run a model is measured: a request as JSON on stdin, the answer as JSON on stdout."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any


def main() -> None:
    """Measure what is asked for and write what was found, or the error with its exit code."""
    answer = os.fdopen(os.dup(1), "w", encoding="utf8")
    os.dup2(2, 1)  # whatever an engine prints by itself must not mix with the answer
    request: dict[str, Any] = json.load(sys.stdin)
    from xfer.runtime.bench.measure import measure
    from xfer.runtime.errors import XferError
    from xfer.runtime.here import Setting

    try:
        found = measure(
            Path(request["path"]), Setting(**request["setting"]), float(request["seconds"]), float(request["spawned"])
        )
        json.dump(asdict(found), answer)
    except XferError as error:
        json.dump({"error": str(error), "exit_code": error.exit_code}, answer)
    answer.close()


if __name__ == "__main__":
    main()
