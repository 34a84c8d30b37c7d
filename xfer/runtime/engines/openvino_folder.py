"""An OpenVINO folder, looked at without the engine: model.xml, model.bin, card.json, golden.json.

The card lists size and hash of the other files, and ends with its own seal; all are checked before OpenVINO opens one.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from xfer.runtime.card import LARGEST_CARD, SEALED_SINCE, Card
from xfer.runtime.errors import Unusable
from xfer.runtime.sealing import damaged, digest_of, sealed_json, unsealed_json
from xfer.runtime.strict_json import read_json

PARTS = ("model.xml", "model.bin", "card.json")
GOLDEN = "golden.json"
LISTED = ("model.xml", "model.bin", GOLDEN)
"""What a card lists: nothing outside its own folder."""
_LARGEST_GOLDEN = 4_000_000


def read_card(path: Path) -> Card:
    """The card beside the model. Raises Unusable where a part of the folder is missing."""
    return _card(path)[0]


def read_golden(path: Path) -> str | None:
    """The golden clips beside the model; None where there are none. Raises Unusable."""
    file = path / GOLDEN
    if not file.is_file():
        return None
    if file.stat().st_size > _LARGEST_GOLDEN:
        raise Unusable(f"{file} has {file.stat().st_size:,} bytes, which no golden clips have: export the model again")
    try:
        return file.read_text(encoding="utf8")
    except UnicodeDecodeError as error:
        raise damaged(file, str(error)) from error


def check_whole(path: Path) -> Card:
    """Every file of the folder against what the card lists, before OpenVINO opens one; the card. Raises Unusable."""
    card, files, sealed = _card(path)
    if card.schema < SEALED_SINCE:
        return card
    if not sealed:
        raise damaged(path / "card.json", "its seal is missing")
    for name in files:
        if name not in LISTED:
            raise Unusable(f"{path / 'card.json'} lists {name!r}, which is no part of a model folder: export it again")
    for name in LISTED:
        file, told = path / name, files.get(name)
        if told is None:
            if name in PARTS or file.exists():
                raise damaged(path, f"its card does not list {name}")
            continue
        if not file.is_file():
            raise damaged(path, f"{name} is missing")
        size = file.stat().st_size
        if not isinstance(told, dict) or told.get("bytes") != size:
            raise damaged(file, f"it has {size:,} bytes, not those that its card lists")
        if told.get("sha256") != digest_of(file):
            raise damaged(file, "its bytes are not those that were written")
    return card


def write_card(path: Path, card: Card) -> str:
    """The text of card.json for a folder whose other files are written: the card, their hashes, and its seal."""
    files = {
        name: {"bytes": (path / name).stat().st_size, "sha256": digest_of(path / name)}
        for name in LISTED
        if (path / name).exists()
    }
    return sealed_json(f'{card.to_json()[:-1]}, "files": {json.dumps(files)}}}')


def _card(path: Path) -> tuple[Card, dict[str, Any], bool]:
    """The card, what it lists, and whether it has a seal."""
    for part in PARTS:
        if not (path / part).is_file():
            raise Unusable(f"{path} has no {part}, so it is no whole OpenVINO model: export it again")
    file = path / "card.json"
    if file.stat().st_size > LARGEST_CARD:
        raise Unusable(f"{file} has {file.stat().st_size:,} bytes, which no card has: export the model again")
    content, sealed = unsealed_json(file.read_bytes(), file)
    files: Any = {}
    try:
        document = read_json(content)
        if isinstance(document, dict) and "files" in document:
            files = document.pop("files")
            content = json.dumps(document).encode()
    except (ValueError, RecursionError):  # no JSON that can be used: the card itself says so
        pass
    return Card.from_json(content, file), files if isinstance(files, dict) else {}, sealed
