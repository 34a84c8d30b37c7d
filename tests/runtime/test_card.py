"""The card: what goes in comes out, and what is no card is refused."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from tests.runtime.tiny import tiny_card
from xfer.runtime.card import SCHEMA, Card, describe_metrics
from xfer.runtime.errors import Unusable


def test_a_card_survives_json() -> None:
    card = tiny_card(
        labels=("ä", "b c", "声"),
        threshold=0.25,
        golden=({"input": "silence", "scores": [0.1, 0.2, 0.7]},),
        parity={"scores": 1e-7},
        opset=None,
    )
    assert Card.from_json(card.to_json()) == card
    assert Card.from_json(card.to_json().encode()) == card


def test_thresholds_of_labels_are_written_where_there_are_some() -> None:
    card = tiny_card(thresholds={"low": 0.5})
    assert Card.from_json(card.to_json()) == card
    assert "thresholds" not in json.loads(tiny_card().to_json()), "an xfer from before would refuse it"


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Card)])
def test_every_field_is_checked(field: str) -> None:
    document = json.loads(tiny_card().to_json())
    document[field] = object_of_another_type(document.get(field, {}))
    with pytest.raises(Unusable, match=field):
        Card.from_json(json.dumps(document))


def object_of_another_type(value: Any) -> Any:
    return {"of": "another type"} if not isinstance(value, dict) else "of another type"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"labels": []}, "labels"),
        ({"thresholds": {"nobody": 0.5}}, "thresholds has 'nobody'"),
        ({"thresholds": {"low": 1.5}}, "thresholds has 'low'"),
        ({"thresholds": {"low": "0.5"}}, "thresholds has 'low'"),
        ({"labels": ["a", "a"]}, "labels"),
        ({"labels": ["a", 3]}, "labels"),
        ({"sample_rate": 0}, "sample_rate"),
        ({"sample_rate": 16000.5}, "sample_rate"),
        ({"window": 0}, "window"),
        ({"window": 10**12}, "window"),
        ({"window": True}, "window"),
        ({"hop": 0}, "hop"),
        ({"short": "placed"}, "short"),
        ({"threshold": 1.5}, "threshold"),
        ({"task": ""}, "task"),
        ({"schema": 0}, "schema"),
        ({"schema": None}, "schema"),
        ({"lables": ["a"]}, "did you mean 'labels'"),
    ],
)
def test_values_that_no_model_has_are_refused(change: dict[str, Any], says: str) -> None:
    document = json.loads(tiny_card().to_json()) | change
    with pytest.raises(Unusable, match=says):
        Card.from_json(json.dumps(document))


def test_a_card_of_before_says_nothing_of_short_sound_and_means_repeated() -> None:
    document = json.loads(tiny_card(short="place").to_json())
    assert Card.from_json(json.dumps(document)).short == "place"
    del document["short"]
    assert Card.from_json(json.dumps(document)).short == "tile"


@pytest.mark.parametrize("field", ["name", "labels", "window", "schema"])
def test_a_missing_field_is_named(field: str) -> None:
    document = json.loads(tiny_card().to_json())
    del document[field]
    with pytest.raises(Unusable, match=field):
        Card.from_json(json.dumps(document))


def test_a_card_of_a_newer_xfer_asks_for_an_upgrade() -> None:
    document = json.loads(tiny_card().to_json()) | {"schema": SCHEMA + 1, "new field": 1}
    with pytest.raises(Unusable, match="upgrade"):
        Card.from_json(json.dumps(document))


@pytest.mark.parametrize("text", ["", "text", "[]", "3", "null", '{"schema": NaN}', "[" * 100_000, b"\xff\xfe\x00"])
def test_what_is_no_card_is_one_sentence(text: str | bytes) -> None:
    with pytest.raises(Unusable, match=r"model\.onnx: its card") as error:
        Card.from_json(text, "model.onnx")
    assert len(str(error.value)) < 300


def test_the_list_shows_test_before_validation() -> None:
    both = {"validation": {"clip_accuracy": 0.5}, "test": {"window_accuracy": 0.25, "clip_accuracy": 0.75}}
    assert describe_metrics(both) == "75.0 % of test clips"
    assert describe_metrics({"validation": {"window_accuracy": 0.5}}) == "50.0 % of validation windows"
    assert describe_metrics({}) == ""
