"""The published schema of the card: it says what card.py says, to an independent validator, about real cards too."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

import xfer.runtime.card as card_module
from tests.runtime.tiny import tiny_card, write_tiny_openvino
from xfer.runtime.card import SCHEMA, Card
from xfer.runtime.engines import read_card
from xfer.runtime.errors import Unusable
from xfer.runtime.models import shipped_models

TEXT = Path(card_module.__file__).with_name("card.schema.json").read_text(encoding="utf8")
PUBLISHED: dict[str, Any] = json.loads(TEXT)
FIELDS = {field.name: field for field in dataclasses.fields(Card)}
TYPES = {
    "str": {"string"},
    "Short": {"string"},
    "int": {"integer"},
    "int | None": {"integer", "null"},
    "float | None": {"number", "null"},
    "tuple[str, ...]": {"array"},
    "dict[str, Any]": {"object"},
    "dict[str, float]": {"object"},
    "tuple[dict[str, Any], ...]": {"array"},
}
"""What a field's type is called in JSON."""


def validator(part: str = "") -> Draft202012Validator:
    """Of a card, or of another definition in the schema."""
    return Draft202012Validator(PUBLISHED | {"$ref": f"#/$defs/{part}"} if part else PUBLISHED)


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema with what it refers to."""
    where = schema.get("$ref", "")
    return resolved(PUBLISHED["$defs"][where.rpartition("/")[2]]) | schema if where else schema


def types_of(schema: dict[str, Any]) -> set[str]:
    """The JSON types that a schema allows."""
    schema = resolved(schema)
    if "enum" in schema:
        return {"string"}
    if "oneOf" in schema:
        return set().union(*(types_of(one) for one in schema["oneOf"]))
    found = schema["type"]
    return {found} if isinstance(found, str) else set(found)


def test_it_is_a_schema_and_says_of_which_version() -> None:
    Draft202012Validator.check_schema(PUBLISHED)
    assert PUBLISHED["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert PUBLISHED["$id"] == f"urn:xfer:card:{SCHEMA}"
    assert PUBLISHED["$defs"]["card"]["properties"]["schema"]["maximum"] == SCHEMA
    assert f"schema {SCHEMA}" in PUBLISHED["title"]


def test_every_field_stands_in_both_with_the_same_type_and_default() -> None:
    listed = PUBLISHED["$defs"]["card"]
    assert set(listed["properties"]) == set(FIELDS)
    missing = dataclasses.MISSING
    needed = {name for name, field in FIELDS.items() if field.default is missing and field.default_factory is missing}
    assert set(listed["required"]) == needed | {"schema"}  # xfer writes it always, and reads nothing without it
    for name, field in FIELDS.items():
        about = listed["properties"][name]
        assert types_of(about) == TYPES[str(field.type)], name
        assert resolved(about)["description" if name != "calibration" else "oneOf"], name
        if name not in needed | {"schema"}:
            default = field.default if field.default is not missing else field.default_factory()
            assert about["default"] == (list(default) if isinstance(default, tuple) else default), name


def test_the_cards_of_the_models_that_ship_are_cards() -> None:
    found = [path for path in shipped_models().iterdir() if path.suffix in (".onnx", ".openvino")]
    assert found
    for path in found:
        validator().validate(json.loads(read_card(path).to_json()))


def test_a_folder_has_two_more_members(tmp_path: Path) -> None:
    folder = write_tiny_openvino(tmp_path / "a.openvino")
    document = json.loads((folder / "card.json").read_text())
    validator("folder").validate(document)
    assert not validator().is_valid(document)
    assert not validator("folder").is_valid(document | {"lables": []})
    assert not validator("folder").is_valid(json.loads(tiny_card().to_json()))


def test_the_docs_name_every_field_and_the_version() -> None:
    docs = Path(__file__).parents[2] / "docs" / "export.md"
    section = docs.read_text(encoding="utf8").partition("## The card")[2].partition("\n## ")[0]
    assert [name for name in FIELDS if f"`{name}`" not in section] == []
    assert f"version {SCHEMA}" in section


STRICT = [name for name, field in FIELDS.items() if not str(field.type).startswith("dict")]
"""Fields on which the two must agree about every value; inside objects the schema says more than reading needs."""
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**6), 10**6)
    | st.floats(-2, 2)
    | st.sampled_from(["", "tile", "a", "a\nb", "\x1b[2J", "ä 声", "fp32"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b"]), inner, max_size=2),
    max_leaves=4,
)


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(STRICT), values)
@example("labels", ["a", "a"])
@example("labels", ["a", ""])
@example("labels", ["a", "b\tc"])
@example("labels", [])
@example("sample_rate", 999)
@example("sample_rate", 768_001)
@example("sample_rate", True)
@example("threshold", 1.0000001)
@example("threshold", 1)
@example("schema", SCHEMA)
@example("schema", SCHEMA + 1)
@example("schema", 0)
@example("golden", [{}])
@example("golden", [1])
@example("description", "two\nlines")
@example("window", 0)
@example("format", "\x1b[2J")
@example("threshold_origin", "\x1b[2J")
@example("threshold_origin", "two\nlines")
def test_both_refuse_and_both_take_the_same_values(name: str, value: Any) -> None:
    document = json.loads(tiny_card().to_json()) | {name: value}
    if isinstance(value, float) and value.is_integer() and "integer" in TYPES[str(FIELDS[name].type)]:
        return  # 3.0 is an integer to JSON Schema
    try:
        Card.from_json(json.dumps(document))
        taken = True
    except Unusable as error:
        if name == "window" and "samples" in str(error) and value > 0:
            return  # too long for its rate: not to be said in JSON Schema
        taken = False
    assert validator().is_valid(document) == taken


@pytest.mark.parametrize("name", FIELDS)
def test_both_know_what_must_be_there(name: str) -> None:
    document = json.loads(tiny_card().to_json())
    document.pop(name, None)
    try:
        Card.from_json(json.dumps(document))
        taken = True
    except Unusable:
        taken = False
    assert validator().is_valid(document) == taken


@pytest.mark.parametrize(
    "change",
    [
        {"lables": ["a"]},
        {"calibration": {"clips": 3}},
        {"provenance": {"data_sha256": "none"}},
        {"data": {"synthetic": "no"}},
        {"metrics": {"test": {"clips": -1}}},
        {"frontend": {"computed": {"form": "guess"}}},
        {"parity": {"ok": "yes"}},
    ],
)
def test_the_schema_also_knows_what_is_inside(change: dict[str, Any]) -> None:
    assert validator().is_valid(json.loads(tiny_card().to_json()))
    assert not validator().is_valid(json.loads(tiny_card().to_json()) | change)
