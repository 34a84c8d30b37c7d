"""The end of a training: its best weights are asked once about the test side, and the report is written."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from xfer.train.checkpoint import load, save_checkpoint
from xfer.train.data.clips import Split
from xfer.train.metrics import Metrics, measure
from xfer.train.nets import Net
from xfer.train.nets.frontends import Sinc
from xfer.train.preparing import Prepared
from xfer.train.report import Bands, gather, write_report
from xfer.train.runs import Run
from xfer.train.transfer import HeadOnly, WholeNet
from xfer.train.world import World

Edges = npt.NDArray[np.float64]


def finish(
    run: Run, problem: HeadOnly | WholeNet, ready: Prepared, before: Edges | None, seconds: float, world: World
) -> tuple[dict[str, Any], Metrics | None]:
    """Measure the best weights once on the test side, if there is one; store that in the best checkpoint; report.

    Returns the validation of the best epoch, and the metrics of the test side. `before`: `bands` of the fresh net.
    """
    best = load(run.best) if world.main else None
    if best is not None:
        problem.net.load_state_dict(best.net.state_dict())
    world.same_weights(problem.net)
    side: Split = "test" if ready.data.of("test") else "validation"
    heard = problem.hear(side)
    tested = measure(heard.scores, heard.owners, heard.truth, problem.labels) if side == "test" else None
    validation: dict[str, Any] = world.from_main(best.metrics["validation"] if best else None)
    if best is None:
        return validation, tested
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
    recipe, told, after = ready.recipe, problem.data, bands(problem.net)
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
    return validation, tested


def bands(net: Net) -> Edges | None:
    """Pass bands of a sinc front-end, Hz, (filters, 2); None of another."""
    if not isinstance(net.frontend, Sinc):
        return None
    return torch.stack(net.frontend.bands(), dim=1).detach().cpu().double().numpy()
