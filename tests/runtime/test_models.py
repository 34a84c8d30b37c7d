"""Models by their task: the places in their order, and what is said where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.runtime.tiny import write_tiny, write_tiny_openvino
from xfer.runtime.errors import NotThere, Unusable
from xfer.runtime.models import find_model, find_models, load_model, places, shipped_models


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place without models of its own: those that ship stay visible."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("XFER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XFER_MODELS", f"{tmp_path / 'one'}:{tmp_path / 'two'}")
    return tmp_path


def test_the_order_of_the_places(empty: Path) -> None:
    assert places() == [Path("models"), empty / "one", empty / "two", empty / "home" / "models", shipped_models()]
    for folder in (empty / "home" / "models", empty / "two", empty / "one", Path("models")):
        path = write_tiny(folder / "speaker.onnx")
        assert find_model("speaker") == path, f"{folder} comes before what follows it"


def test_the_models_that_ship_lie_beside_the_package() -> None:
    import xfer

    assert shipped_models().is_dir()
    assert shipped_models().parent in (Path(xfer.__file__).parent, Path(xfer.__file__).parent.parent)


@pytest.mark.usefixtures("empty")
def test_the_card_says_the_task_and_the_name_comes_first() -> None:
    write_tiny(Path("models/bell.onnx"), task="doorbell")
    write_tiny(Path("models/a-doorbell-model.onnx"), task="doorbell")
    assert find_model("doorbell") == Path("models/a-doorbell-model.onnx")
    write_tiny(Path("models/doorbell.int8.onnx"), task="doorbell", precision="int8")
    assert find_model("doorbell") == Path("models/doorbell.int8.onnx")
    write_tiny_openvino(Path("models/x.openvino"))
    write_tiny(Path("models/doorbell.onnx"), task="doorbell")
    assert find_model("doorbell") == Path("models/doorbell.onnx")
    assert load_model(find_model("doorbell")).card.task == "doorbell"


def test_a_broken_model_of_the_task_is_not_passed_over(empty: Path) -> None:
    write_tiny(empty / "home" / "models" / "speaker.onnx")
    Path("models").mkdir()
    Path("models/speaker.onnx").write_text("no model")
    with pytest.raises(Unusable, match=r"models/speaker\.onnx"):
        find_model("speaker")
    Path("models/speaker.onnx").rename("models/other.onnx")
    assert find_model("speaker") == empty / "home" / "models" / "speaker.onnx"
    problems = [entry.problem for entry in find_models() if entry.card is None]
    assert any("models/other.onnx" in problem for problem in problems)


@pytest.mark.usefixtures("empty")
def test_a_task_that_nobody_knows_is_met_with_the_nearest() -> None:
    write_tiny(Path("models/bell.onnx"), task="doorbell")
    with pytest.raises(Unusable, match="did you mean 'speaker'"):
        find_model("speeker")
    with pytest.raises(Unusable, match="did you mean 'doorbell'"):
        find_model("dorbell")


@pytest.mark.usefixtures("empty")
def test_a_known_task_without_a_model_says_where_was_looked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xfer.runtime.models.shipped_models", lambda: tmp_path / "shipped")
    with pytest.raises(NotThere) as error:
        find_model("command")
    for folder in places():
        assert str(folder) in str(error.value)
    assert "xfer train --task command" in str(error.value)


def test_an_openvino_model_by_any_of_its_names(tmp_path: Path) -> None:
    folder = write_tiny_openvino(tmp_path / "a.openvino")
    assert load_model(folder).path == load_model(folder / "model.xml").path == folder
