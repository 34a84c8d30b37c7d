"""`xfer doctor`: what is here, what really works, what is missing and how to get it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from xfer.cli import console
from xfer.cli.console import next_steps, result, result_json


def doctor(
    json: Annotated[bool, typer.Option("--json", help="The result as one JSON document on stdout.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Warnings and errors only.")] = False,
) -> int:
    """Versions, execution providers really usable, microphones, what is missing and how to get it."""
    console.talk.quiet = quiet
    from xfer.runtime import inventory
    from xfer.runtime.models import find_models, places

    versions, providers = inventory.versions(), inventory.providers()
    microphones, no_microphone = inventory.microphones_here()
    missing = inventory.missing_extras()
    models = find_models()
    both = versions["onnxruntime"] is not None and versions["onnxruntime-gpu"] is not None
    if json:
        result_json(
            {
                "versions": versions,
                "providers": [asdict(each) for each in providers],
                "microphones": microphones,
                "no_microphone": no_microphone,
                "missing": {
                    extra: {"packages": names, "get": f"pip install 'xfer[{extra}]'"}
                    for extra, names in missing.items()
                },
                "models": [str(found.path) for found in models],
                "model_places": [str(place) for place in places()],
            }
        )
        return 3 if both else 0
    for name, version in versions.items():
        if version is not None:
            result(f"{name:<18} {version}")
    result("")
    for each in providers:
        works = "works" if each.usable else f"does not work: {each.problem}"
        result(f"engine             {each.engine} {each.name}: {works}")
    if not providers:
        result("engine             none: pip install 'xfer[cpu]' (or 'xfer[openvino]', 'xfer[gpu]')")
    for found in microphones:
        default = ", default" if found["default"] else ""
        result(
            f"microphone         {found['index']} {found['name']!r}, {found['rate']} Hz, "
            f"{found['channels']} channels{default}"
        )
    if no_microphone:
        result(f"microphone         none: {no_microphone}")
    usable = sum(found.card is not None for found in models)
    result(f"models             {usable} usable of {len(models)} (xfer models lists them)")
    for extra, names in missing.items():
        result(f"missing            {', '.join(names)}: pip install 'xfer[{extra}]'")
    if both:
        for each in providers:
            if each.problem:
                console.warn(f"xfer: {each.problem}")
        return 3
    next_steps("xfer listen --task speaker", "xfer models")
    return 0
