"""`xfer doctor`: what is here, what really works, what is missing and how to get it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from xfer.cli import console
from xfer.cli.console import next_steps, result, result_json, say
from xfer.runtime.errors import Unusable

_SECONDS = 3.0


def doctor(
    mic: Annotated[
        str | None, typer.Option(help="Try this microphone: its name, a part of it, its index, or default.")
    ] = None,
    seconds: Annotated[float | None, typer.Option(min=0.5, max=600, help="With --mic: so long (3).")] = None,
    channel: Annotated[
        int | None, typer.Option(min=1, help="With --mic: this channel. Default: the mean of all.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="The result as one JSON document on stdout.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Warnings and errors only.")] = False,
) -> int:
    """Versions, execution providers really usable, microphones, what is missing and how to get it."""
    console.talk.quiet = quiet
    if mic is not None:
        return _try_microphone(mic, seconds or _SECONDS, channel, json)
    if seconds is not None or channel is not None:
        raise Unusable("--seconds and --channel are for --mic: xfer doctor --mic default --seconds 3")
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
        rates = ", ".join(map(str, found["rates"])) or "no usual rate"
        result(
            f"microphone         {found['index']} {found['name']!r}, {found['rate']} Hz, "
            f"{found['channels']} channels{default}; opens at {rates} Hz"
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


def _try_microphone(wanted: str, seconds: float, channel: int | None, json: bool) -> int:
    """Listen to a microphone for a moment, and say how good it is; 1 where something is wrong with it."""
    from contextlib import closing

    from xfer.runtime.listening.trial import try_out
    from xfer.runtime.sources.microphone import Microphone

    with closing(Microphone(None if wanted == "default" else wanted, None, channel)) as opened:
        info, rate, channels = opened.info, opened.rate, opened.channels
        say(f"listening to {info.name!r} for {seconds:g} s at {rate} Hz: say something")
        with console.Meter() as meter:
            trial = try_out(opened, seconds, meter.show)
    if json:
        found = asdict(trial) | {"problems": list(trial.problems), "nothing_said": trial.nothing_said}
        result_json({"microphone": asdict(info), "channels": channels, **found})
        return 1 if trial.problems else 0
    several = "s" * (channels > 1)
    result(f"microphone         {info.index} {info.name!r} ({info.system}), {rate} Hz, {channels} channel{several}")
    result(f"sound              {trial.seconds:.1f} s, {trial.dropped} samples lost")
    if trial.seconds:
        result(f"level              {trial.level_dbfs:.1f} dBFS, its peak {trial.peak_dbfs:.1f}")
        result(f"loud parts         {trial.loud_dbfs:.1f} dBFS")
        result(f"noise floor        {trial.noise_floor_dbfs:.1f} dBFS")
        result(f"clipped            {trial.clipped} samples")
    for problem in trial.problems:
        result(f"problem            {problem}")
    if not trial.problems and trial.nothing_said:
        result("answer             it works; hardly more than its noise was heard: say something meanwhile")
    elif not trial.problems:
        result("answer             good")
    if not trial.problems:
        next_steps(f"xfer listen --task speaker --mic {info.index}")
    return 1 if trial.problems else 0
