"""Damaged, foreign and hostile model files: found before an engine opens them."""

from __future__ import annotations

import hashlib
import io
import json
import random
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.runtime.tiny import tiny_card, tiny_graph, write_model, write_tiny, write_tiny_openvino
from xfer.cli.app import main
from xfer.runtime.card import METADATA_KEY
from xfer.runtime.engines import check_whole, open_engine, read_card
from xfer.runtime.engines.onnx_file import LARGEST_FILE, SEAL_KEY, metadata_entry, sealed
from xfer.runtime.engines.protobuf import encode, fields
from xfer.runtime.errors import Unusable
from xfer.runtime.sealing import sealed_json, unsealed_json


def metadata(path: Path) -> dict[str, str]:
    import onnx

    return {entry.key: entry.value for entry in onnx.load(str(path)).metadata_props}


def test_the_seal_is_the_last_entry_and_covers_every_byte_before_it(tmp_path: Path) -> None:
    """As `onnx` and hashlib see it."""
    path = write_tiny(tmp_path / "a.onnx")
    found = metadata(path)
    assert list(found)[-1] == SEAL_KEY
    word, size, digest = found[SEAL_KEY].split()
    content = path.read_bytes()
    assert word == "sha256"
    assert digest == hashlib.sha256(content[: int(size)]).hexdigest()
    assert content[int(size) :] == metadata_entry(SEAL_KEY, found[SEAL_KEY])


def test_every_flipped_bit_is_found(tmp_path: Path) -> None:
    """All bits of the seal, of the first bytes, and of many places between."""
    path = write_tiny(tmp_path / "a.onnx")
    whole = path.read_bytes()
    rng = random.Random(7)
    behind = len(metadata_entry(SEAL_KEY, metadata(path)[SEAL_KEY]))
    bits = {8 * at + bit for at in range(len(whole) - behind, len(whole)) for bit in range(8)}
    bits |= {8 * at + bit for at in range(12) for bit in range(8)}
    bits |= {rng.randrange(8 * len(whole)) for _ in range(300)}
    broken = tmp_path / "b.onnx"
    for bit in sorted(bits):
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        broken.write_bytes(changed)
        with pytest.raises(Unusable, match=r"b\.onnx"):
            check_whole(broken)


def test_a_file_that_is_cut_off_or_grew_is_found(tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "a.onnx")
    whole = path.read_bytes()
    broken = tmp_path / "b.onnx"
    for length in [*range(len(whole) - 130, len(whole)), *range(1, len(whole), 499)]:
        broken.write_bytes(whole[:length])
        with pytest.raises(Unusable, match=r"cut off or damaged|no ONNX model"):
            check_whole(broken)
    for more in (b"\0", b"text", metadata_entry("note", "mine"), whole, metadata_entry(METADATA_KEY, "{}")):
        broken.write_bytes(whole + more)
        with pytest.raises(Unusable, match="damaged"):
            check_whole(broken)
    broken.write_bytes(whole + metadata_entry("note", "mine"))
    with pytest.raises(Unusable, match="something was added behind its seal"):
        check_whole(broken)


def test_a_card_put_in_front_of_the_seal_is_found(tmp_path: Path) -> None:
    """With a whole new seal: two cards in one file, of which one would be shown and the other believed."""
    content = write_model(tmp_path / "a.onnx", tiny_card(), seal=False).read_bytes()
    other = metadata_entry(METADATA_KEY, replace(tiny_card(), labels=("a", "b", "c")).to_json())
    (tmp_path / "b.onnx").write_bytes(sealed(content + other))
    with pytest.raises(Unusable, match=r"two entries 'xfer\.card'"):
        check_whole(tmp_path / "b.onnx")


def test_a_file_of_this_schema_without_its_seal_is_damaged(tmp_path: Path) -> None:
    path = write_model(tmp_path / "a.onnx", tiny_card(), seal=False)
    with pytest.raises(Unusable, match="its seal is missing"):
        open_engine(path)
    assert open_engine(write_model(tmp_path / "b.onnx", tiny_card(schema=1), seal=False)).card.schema == 1


def with_external(place: str, nested: bool = False) -> Any:
    """The tiny graph with its head's weights in another file, as onnx writes it; or a tensor deep in a subgraph."""
    from onnx import TensorProto, helper

    graph = tiny_graph()
    head = next(constant for constant in graph.graph.initializer if constant.name == "head")
    head.ClearField("raw_data")
    head.data_location = TensorProto.EXTERNAL
    entry = head.external_data.add()
    entry.key, entry.value = "location", place
    if nested:
        inner = helper.make_graph([helper.make_node("Constant", [], ["deep"], value=head)], "inner", [], [])
        graph.graph.initializer.remove(head)
        graph.graph.node.append(helper.make_node("If", ["audio"], ["x"], then_branch=inner, else_branch=inner))
    return graph


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize(
    ("place", "says"),
    [
        ("weights.bin", "'weights.bin', and"),
        ("../weights.bin", "outside its own folder"),
        ("a/../../b", "outside its own folder"),
        ("/etc/passwd", "outside its own folder"),
        ("C:\\windows\\x", "outside its own folder"),
        ("..\\x", "outside its own folder"),
        ("", "another file"),
    ],
)
def test_weights_in_another_file_are_refused(tmp_path: Path, place: str, says: str, nested: bool) -> None:
    (tmp_path / "weights.bin").write_bytes(bytes(36))
    path = write_model(tmp_path / "in" / "a.onnx", tiny_card(), with_external(place, nested))
    (path.parent / "weights.bin").write_bytes(bytes(36))
    with pytest.raises(Unusable, match="takes weights from") as refused:
        open_engine(path)
    assert says in str(refused.value)
    assert main(["verify", str(path)]) == 2
    assert main(["listen", "--model", str(path), "nothing.wav"]) == 2


def test_graphs_within_graphs_without_end_are_refused(tmp_path: Path) -> None:
    body = b""
    for _ in range(300):  # a graph's node's attribute's graph
        body = encode(1, encode(5, encode(6, body)))
    (tmp_path / "a.onnx").write_bytes(sealed(encode(7, body) + metadata_entry(METADATA_KEY, tiny_card().to_json())))
    with pytest.raises(Unusable, match="without end"):
        check_whole(tmp_path / "a.onnx")


def sparse(path: Path, size: int, head: bytes) -> Path:
    """A file of `size` bytes that takes almost none on disk: `head`, then nothing but zeros."""
    with open(path, "wb") as file:
        file.write(head)
        file.truncate(size)
    return path


def field_head(number: int, length: int) -> bytes:
    """The key and length of a field whose body is elsewhere."""
    low = bytes([number << 3 | 2])
    while length > 0x7F:
        low, length = low + bytes([length & 0x7F | 0x80]), length >> 7
    return low + bytes([length])


def test_a_huge_file_with_a_tiny_card_is_not_read_into_memory(tmp_path: Path) -> None:
    card = metadata_entry(METADATA_KEY, tiny_card(schema=1).to_json())
    size = 2_000_000_000
    graph = size - len(card) - 6
    path = sparse(tmp_path / "huge.onnx", size, card + field_head(7, graph))
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from xfer.runtime.engines import open_engine, read_card\n"
        "from xfer.runtime.errors import Unusable\n"
        "from xfer.runtime.bench.measure import peak_memory\n"
        "path = Path(sys.argv[1])\n"
        "assert read_card(path).name == 'tiny'\n"
        "try: open_engine(path)\n"
        "except Unusable as error: print(error)\n"
        "print(peak_memory())\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    said, peak = done.stdout.splitlines()
    assert "huge.onnx is cut off or damaged (its graph cannot be read" in said
    assert float(peak) < 200e6
    assert main(["verify", str(path)]) == 2


def test_a_seal_of_another_size_is_refused_at_once_and_2_gb_are_too_much(tmp_path: Path) -> None:
    whole = write_tiny(tmp_path / "a.onnx").read_bytes()
    seal = metadata(tmp_path / "a.onnx")[SEAL_KEY]
    stretched = 1_900_000_000
    head = whole[: -len(metadata_entry(SEAL_KEY, seal))] + field_head(15, stretched)
    path = sparse(tmp_path / "b.onnx", len(head) + stretched, head)
    with open(path, "ab") as file:
        file.write(metadata_entry(SEAL_KEY, seal))
    with pytest.raises(Unusable, match="bytes stand before its seal"):
        check_whole(path)
    with pytest.raises(Unusable, match="one file of 2 GB at most"):
        read_card(sparse(tmp_path / "c.onnx", LARGEST_FILE + 1, whole))


@pytest.mark.parametrize(
    ("card", "says"),
    [
        (lambda card: card | {"schema": 99, "new": 1}, "upgrade"),
        (lambda card: card | {"window": 4_001}, "window 4001"),
        (lambda card: card | {"labels": ["a", "b"]}, "labels 2"),
        (lambda card: card | {"embedding_size": 7}, "embedding_size 7"),
    ],
)
@pytest.mark.parametrize("form", ["onnx", "openvino"])
def test_a_card_that_is_newer_or_lies_ends_with_2(
    tmp_path: Path, card: Any, says: str, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Sealed all the same: the seal says that nothing was damaged, not that it is true."""
    if form == "onnx":
        text = json.dumps(card(json.loads(tiny_card().to_json())))
        path = write_model(tmp_path / "a.onnx", text)
    else:
        path = write_tiny_openvino(tmp_path / "a.openvino")
        before = json.loads((path / "card.json").read_text())
        before.pop("seal")
        (path / "card.json").write_text(sealed_json(json.dumps(card(before))))
    assert main(["verify", str(path)]) == 2
    said = capsys.readouterr().err
    assert says in said
    assert "Traceback" not in said


@pytest.mark.parametrize("name", ["model.xml", "model.bin", "card.json", "golden.json"])
def test_a_flipped_bit_in_any_file_of_a_folder_is_found(tmp_path: Path, name: str) -> None:
    folder = write_tiny_openvino(tmp_path / "a.openvino")
    check_whole(folder)
    whole = (folder / name).read_bytes()
    rng = random.Random(3)
    for at in [0, len(whole) - 1, *(rng.randrange(len(whole)) for _ in range(60))]:
        broken = bytearray(whole)
        broken[at] ^= 1 << rng.randrange(8)
        (folder / name).write_bytes(broken)
        with pytest.raises(Unusable, match=r"a\.openvino"):
            check_whole(folder)
    (folder / name).write_bytes(whole[:-1])
    with pytest.raises(Unusable):
        check_whole(folder)
    (folder / name).write_bytes(whole)
    check_whole(folder)


def test_files_that_are_missing_added_or_outside_a_folder_are_found(tmp_path: Path) -> None:
    whole = write_tiny_openvino(tmp_path / "a.openvino")
    other = tmp_path / "b.openvino"
    shutil.copytree(whole, other)
    (other / "golden.json").unlink()
    with pytest.raises(Unusable, match=r"golden\.json is missing"):
        check_whole(other)
    card = json.loads((whole / "card.json").read_text())
    card.pop("seal")
    for change, says in (
        ({"files": card["files"] | {"../../secret": {"bytes": 1, "sha256": "0"}}}, "no part of a model folder"),
        ({"files": {}}, "does not list"),
        ({"files": card["files"] | {"model.bin": 3}}, "not those that its card lists"),
    ):
        (whole / "card.json").write_text(sealed_json(json.dumps(card | change)))
        with pytest.raises(Unusable, match=says):
            check_whole(whole)
    (whole / "card.json").write_text(json.dumps(card))
    with pytest.raises(Unusable, match="its seal is missing"):
        check_whole(whole)


@given(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=20), min_size=1, max_size=5))
@settings(max_examples=50, deadline=None)
def test_a_sealed_object_is_the_same_object(document: dict[str, Any]) -> None:
    text = json.dumps(document)
    content, was_sealed = unsealed_json(sealed_json(text).encode(), Path("a"))
    assert was_sealed
    assert json.loads(content) == document
    assert unsealed_json(text.encode(), Path("a")) == (text.encode(), False)


@given(st.lists(st.tuples(st.integers(1, 5000), st.binary(max_size=300)), max_size=8))
@settings(max_examples=50, deadline=None)
def test_a_walk_finds_the_fields_that_were_written(written: list[tuple[int, bytes]]) -> None:
    content = b"".join(encode(number, body) for number, body in written)
    found = list(fields(io.BytesIO(content), 0, len(content)))
    assert [(each.number, content[each.body : each.end]) for each in found] == written


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_a_walk_over_anything_ends_in_fields_or_a_plain_error(content: bytes) -> None:
    try:
        found = list(fields(io.BytesIO(content), 0, len(content)))
    except (EOFError, ValueError):
        return
    assert sum(each.end - each.start for each in found) == len(content)
