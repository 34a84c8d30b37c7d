"""The recipe: every choice of a training, as frozen dataclasses; written resolved as TOML into the run.

`--set section.key=value` reaches any field; a wrong name is refused with the nearest right one.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from typing import Any, Literal, get_args, get_origin, get_type_hints

import tomli_w

from xfer.runtime.errors import Unusable, nearest
from xfer.train.augment.recipe import AugmentRecipe
from xfer.train.data.recipe import DataRecipe
from xfer.train.nets import NETS, options_of
from xfer.train.nets.registry import option_types


@dataclass(frozen=True)
class FitRecipe:
    """How it is trained."""

    epochs: int = 30
    batch: int = 16
    """Windows a step."""
    accumulate: int = 1
    """In so many pieces a batch goes through the net: less memory, and batch norm sees less at once."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Of the body's matrix products; weights, front-end, norms and loss stay in float32. auto: bf16 where the device
    has units for it and a step measures faster, else fp32. fp16, with a scaled loss, is for CUDA."""
    compile: bool = False
    """Let torch compile the net (CUDA, or a C++ compiler): minutes at the start, a faster step after."""
    crop: int = 0
    """Samples a training window; 0: the net's window. Only nets whose time axis is free take another."""
    crops_per_clip: int = 1
    """Random crops of each clip in an epoch."""
    optimizer: str = "adamw"
    """adamw, adam (amsgrad) or adadelta."""
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    """Not on norms, sinc parameters and biases (FACTS.md 8.36)."""
    schedule: str = "cosine"
    """cosine (warm-up, then down to zero), inverse (1 / (1 + 1e-4 step)) or constant."""
    warmup: float = 0.05
    """Share of all steps in which the learning rate rises (cosine)."""
    loss: Literal["cross_entropy", "focal"] = "cross_entropy"
    label_smoothing: float = 0.0
    """Of cross_entropy."""
    focal_gamma: float = 2.0
    """Of focal."""
    margin: float = 0.0
    """Radians by which a cosine head's angle to the own label counts as larger than it is; 0: none."""
    class_weights: Literal["none", "balanced"] = "none"
    """balanced: a window counts in inverse proportion to the size of its class."""
    logit_adjustment: float = 0.0
    """How far the sizes of the classes are taken out of the decision; 1: fully, 0: not."""
    sampling: Literal["all", "balanced"] = "all"
    """balanced: an epoch has as many windows as before, equally many of each class."""
    average: float = 0.0
    """Decay a step of the moving average of the weights by which the net is measured and exported; 0: none."""
    gain_db: tuple[float, float] = (-12.0, 6.0)
    """Each crop is made louder or quieter by a random gain from this range."""
    patience: int = 0
    """Stop after so many epochs without a better validation; 0: never."""
    clip_gradient: float = 5.0
    """Largest norm of the gradient; 0: as it comes."""
    save_seconds: float = 60.0
    """A checkpoint within an epoch at least so often."""
    tensorboard: bool = False
    """Write TensorBoard's log, too, into the run's folder `tensorboard`."""


@dataclass(frozen=True)
class WindowRecipe:
    """How windows are cut from clips.

    The paper's ConvNet (FACTS.md 2.1, 8.10): clip_seconds = 30, hop = 33075, training = "grid". RawNet2's test (3.1):
    hop = 47239, which overlaps by 20 %.
    """

    training: Literal["random", "grid"] = "random"
    """random: `fit.crops_per_clip` crops anywhere; grid: each window of the evaluation once an epoch."""
    hop: int = 0
    """Samples between two evaluation windows; the last one is aligned to the clip's end. 0: the window."""
    clip_seconds: float = 0.0
    """Every clip is brought to this length, by zeros at its end or by a cut; 0: it stays as it is."""
    short: Literal["auto", "tile", "place"] = "auto"
    """A clip shorter than the window is repeated, or placed over background: at random in training, amid silence in
    evaluation and when listening. auto: place for the tasks command and sound."""
    background: Literal["auto", "yes", "no"] = "auto"
    """Is there a class `background` of windows that hold nothing else? auto: for command, and for sound with clips
    shorter than the window, unless the data has such a class itself."""
    background_share: float = 0.0
    """Share of its windows among those of an epoch; 0: as many as a class has on average."""
    snr_db: tuple[float, float] = (0.0, 30.0)
    """How far recordings and noise lie under the active level of a clip that is placed over them."""
    sources: tuple[str, ...] = ("recordings", "noise", "silence", "others")
    """What background is made of: recordings of the data set, generated noise, silence, other classes far below."""


@dataclass(frozen=True)
class TransferRecipe:
    """Where the training starts."""

    source: str = ""
    """A checkpoint; empty: from scratch."""
    method: str = ""
    """head or full; empty: from scratch."""
    augmentations: int = 4
    """`head`: random crops of each clip whose embeddings are stored beside those of its fixed windows."""


@dataclass(frozen=True)
class Recipe:
    """One training, resolved."""

    task: str = "speaker"
    net: str = "rawnet2"
    seed: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)
    """The net's variants."""
    data: DataRecipe = field(default_factory=DataRecipe)
    fit: FitRecipe = FitRecipe()
    windows: WindowRecipe = WindowRecipe()
    augment: AugmentRecipe = field(default_factory=AugmentRecipe)
    transfer: TransferRecipe = TransferRecipe()

    def to_toml(self) -> str:
        """The recipe as a file that `from_toml` reads."""
        return tomli_w.dumps(_plain(asdict(self)))


def default_recipe(task: str, net: str) -> Recipe:
    """The recipe of a net with its own defaults.

    Raises Unusable for an unknown net.
    """
    if net not in NETS:
        raise Unusable(f"no net is called {net!r}: {nearest(net, NETS)}")
    recipe = Recipe(task=task, net=net, options=options_of(net))
    return _update(recipe, NETS[net].recipe)


def paper_recipe(recipe: Recipe) -> Recipe:
    """The same training by the paper's own choices for this net and task, as FACTS.md lists them.

    Raises Unusable for a net that is not the paper's.
    """
    told = NETS[recipe.net].paper
    if not told:
        known = [name for name, net in NETS.items() if net.paper]
        raise Unusable(f"no paper trained {recipe.net}: --recipe paper is for {' and '.join(known)}")
    return _update(recipe, {**told[""], **told.get(recipe.task, {})})


def from_toml(text: str) -> Recipe:
    """Read a recipe back.

    Raises Unusable for what is no recipe: broken TOML, unknown names, wrong types.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Unusable(f"the recipe is no TOML: {error}") from None
    recipe = default_recipe(str(document.pop("task", "speaker")), str(document.pop("net", "rawnet2")))
    flat: dict[str, Any] = {}
    for key, value in document.items():
        flat |= {f"{key}.{name}": inner for name, inner in value.items()} if isinstance(value, dict) else {key: value}
    return _update(recipe, flat)


def with_settings(recipe: Recipe, settings: Iterable[str]) -> Recipe:
    """Apply `section.key=value` words from the command line.

    Raises Unusable for an unknown name (naming the nearest) or a value of the wrong type.
    """
    values: dict[str, Any] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals:
            raise Unusable(f"--set {setting!r} is not of the form section.key=value, for instance fit.epochs=20")
        values[name.strip()] = _from_text(text.strip())
    return _update(recipe, values)


def field_names(recipe: Recipe) -> list[str]:
    """All names that `--set` takes."""
    names: list[str] = []
    for each in fields(recipe):
        value = getattr(recipe, each.name)
        inner = value if isinstance(value, Mapping) else asdict(value) if is_dataclass(value) else None  # type: ignore[arg-type]
        names += [each.name] if inner is None else [f"{each.name}.{key}" for key in inner]
    return names


def _update(recipe: Recipe, values: Mapping[str, Any]) -> Recipe:
    known = field_names(recipe)
    for name, value in values.items():
        if name not in known:
            raise Unusable(f"the recipe has no {name!r}: {nearest(name, known)}")
        section, _, key = name.partition(".")
        if not key:
            recipe = replace(recipe, **{section: _typed(name, value, get_type_hints(Recipe)[section])})
        elif section == "options":
            kind = option_types(recipe.net)[key]
            recipe = replace(recipe, options={**recipe.options, key: _typed(name, value, kind)})
        else:
            part = getattr(recipe, section)
            kind = get_type_hints(type(part))[key]
            recipe = replace(recipe, **{section: replace(part, **{key: _typed(name, value, kind)})})
    return recipe


def _typed(name: str, value: Any, kind: Any) -> Any:
    """The value as the field's type, or Unusable."""
    choices = get_args(kind)
    if get_origin(kind) is tuple and choices[-1] is Ellipsis:
        if isinstance(value, (list, tuple)):
            return tuple(_typed(name, each, choices[0]) for each in value)
        raise Unusable(f'{name} takes a list like ["one", "two"], not {value!r}')
    if get_origin(kind) is tuple:
        if isinstance(value, (list, tuple)) and len(value) == len(choices):
            return tuple(_typed(name, each, inner) for each, inner in zip(value, choices, strict=True))
        raise Unusable(f"{name} takes {len(choices)} values like [-12, 6], not {value!r}")
    if choices and all(isinstance(choice, str) for choice in choices):  # Literal
        if value in choices:
            return value
        raise Unusable(f"{name} cannot be {value!r}: {nearest(str(value), choices)}")
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind is str and isinstance(value, str):
        return value
    if type(value) is kind:
        return value
    raise Unusable(f"{name} takes {'a number' if kind in (int, float) else kind.__name__}, not {value!r}")


def _from_text(text: str) -> Any:
    """A word of the command line as TOML would read it; a bare word is a string."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _plain(value: Any) -> Any:
    """Tuples as lists: TOML has no tuples."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, tuple) else value
