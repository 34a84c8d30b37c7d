"""`xfer data` as a user meets it: numbers against soundfile and csv, exit codes, what is on stdout, terminals."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from collections import Counter
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
import soundfile
from rich.cells import cell_len
from rich.console import Console

from tests.recordings import recordings
from tests.train.seen import fact, seen
from xfer.cli import app
from xfer.cli.console import result_json
from xfer.cli.table import bar, problem_lines, tables
from xfer.train.data.clips import Clip
from xfer.train.data.layouts import read
from xfer.train.data.open import RATES
from xfer.train.data.problems import Problem
from xfer.train.data.summary import summarise
from xfer.train.nets import NETS

ROOT = Path(__file__).resolve().parents[2]
BLOCKS = "█▏▎▍▌▋▊▉"


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("XFER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("FORCE_COLOR", raising=False)


@pytest.fixture
def run(capfd):
    """A command line in this process: exit code, stdout, stderr."""

    def call(*words: object) -> tuple[int, str, str]:
        code = app.main(["data", *map(str, words)])
        out, err = capfd.readouterr()
        assert "Traceback" not in out + err
        assert "\x1b" not in out + err
        return code, out, err

    return call


@pytest.fixture
def tree(tmp_path):
    """A folder per class of noise that no two clips share."""

    def make(root: Path = tmp_path / "data", rate: int = 16_000, **classes: int) -> Path:
        for label, clips in classes.items():
            (root / label).mkdir(parents=True)
            for i in range(clips):
                noise = np.random.default_rng([*label.encode(), i]).normal(0, 0.1, rate // 2)
                soundfile.write(root / label / f"{i}.wav", noise, rate)
        return root

    return make


def test_a_real_data_set_against_soundfile_and_its_own_tables(run):
    root = recordings("tts_vctk_layout")
    code, out, _ = run(root, "--json")
    found = json.loads(out)
    with (root / "files.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    speakers = Counter(row["speaker"] for row in rows)
    seconds = {row["path"]: soundfile.info(root / row["path"]).duration for row in rows}
    assert code == 0, found["problems"]
    assert (found["layout"], found["task"], found["clips"]) == ("vctk", "speaker", len(rows))
    assert {label: each["clips"] for label, each in found["classes"].items()} == speakers
    assert found["hours"] == pytest.approx(sum(seconds.values()) / 3600, rel=1e-4)
    for label, each in found["classes"].items():
        total = sum(seconds[row["path"]] for row in rows if row["speaker"] == label)
        assert each["hours"] == pytest.approx(total / 3600, abs=2e-6)
    sides = Counter({"val": "validation"}.get(row["split"], row["split"]) for row in rows)
    assert {side: each["clips"] for side, each in found["splits"].items()} == sides
    assert found["sample_rates"] == {"16000": len(rows)}
    assert found["channels"] == {"1": len(rows)}
    assert found["durations"]["lowest"] == pytest.approx(min(seconds.values()), abs=1e-3)
    assert found["durations"]["highest"] == pytest.approx(max(seconds.values()), abs=1e-3)
    assert sum(found["durations"]["histogram"]["counts"]) == len(rows)


def test_a_sound_data_set_is_shown_with_the_next_command(run, tree):
    root = tree(one=12, two=12)
    code, out, err = run(root)
    assert code == 0
    assert re.search(r"^one +12 +6\.00 s +█+$", out, re.MULTILINE)
    assert re.search(r"^train +\d+ +\d+\.\d% ", out, re.MULTILINE)
    assert "nothing wrong was found" in out
    assert f"xfer train {root}" in err
    assert all(len(line) <= 80 for line in out.splitlines())


def test_errors_are_named_with_their_file_and_exit_1(run, tree):
    root = tree(one=8, two=8)
    (root / "one" / "text.wav").write_text("no recording\n")
    (root / "two" / "nothing.wav").touch()
    soundfile.write(root / "two" / "silence.wav", np.zeros(8000), 16_000)
    code, out, err = run(root, "--json")
    found = json.loads(out)
    assert code == 1
    kinds = {Path(path).name: problem["kind"] for problem in found["problems"] for path in problem["paths"]}
    assert (kinds["text.wav"], kinds["silence.wav"]) == ("unreadable", "silent")
    assert kinds["nothing.wav"] in ("empty", "unreadable")
    assert (found["clips"], found["usable_clips"], found["errors"]) == (19, 16, 3)
    assert found["splits"]["unused"]["clips"] == 3
    assert sum(side["clips"] for side in found["splits"].values()) == 19
    assert "errors" in err
    code, out, _ = run(root)
    assert code == 1
    assert re.search(r"^  - one/text\.wav ", out, re.MULTILINE)
    assert "unreadable: 1 error" in out


def test_the_split_is_the_one_of_a_training(run, tree):
    """Without the files that cannot be used: they must not move a single clip."""
    from dataclasses import replace

    from xfer.train.data.recipe import DataRecipe
    from xfer.train.data.splits import split

    root = tree(one=10, two=10)
    (root / "one" / "text.wav").write_text("no recording\n")
    data = read(root)
    good = data.with_clips(tuple(clip for clip in data.clips if clip.path.name != "text.wav"))
    placed = split(good, DataRecipe(scheme="folds", folds=5, fold=2, split_seed=3))
    found = json.loads(run(root, "--json", "--fold", 2, "--folds", 5, "--seed", 3)[1])
    sides = Counter((clip.label, clip.split) for clip in placed.clips)
    shown = {(label, side): n for label, each in found["classes"].items() for side, n in each["splits"].items()}
    assert shown == sides | {("one", "unused"): 1}
    assert replace(placed, notes=()).clips == placed.clips


def test_a_leak_is_one_of_the_split_that_is_asked_for(run, tree):
    """A published split that parts two copies: an error, with the way out; split by group, it is none."""
    root = tree(one=12, two=12)
    samples, rate = soundfile.read(root / "one" / "3.wav")
    soundfile.write(root / "one" / "copy.wav", samples / 2, rate)
    sides = {"one/copy.wav": "test", "one/5.wav": "val", "two/5.wav": "val", "two/6.wav": "test"}
    files = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.wav"))
    (root / "files.csv").write_text("path,split\n" + "".join(f"{each},{sides.get(each, 'train')}\n" for each in files))
    code, out, err = run(root, "--json")
    leaks = [problem for problem in json.loads(out)["problems"] if problem["kind"] == "leak"]
    assert code == 1
    assert [{Path(path).name for path in leak["paths"]} for leak in leaks] == [{"3.wav", "copy.wav"}]
    assert f"xfer train {root} --set data.scheme=group" in err
    kinds = {problem["kind"] for problem in json.loads(run(root, "--json", "--split", "group")[1])["problems"]}
    assert kinds == {"duplicate"}


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--split", "fold"], 2, "folds"),
        (["--split", "paper", "--fold", "2"], 2, "--split folds"),
        (["--split", "not/there.csv"], 3, "not/there.csv"),
        (["--layout", "folder"], 2, "folders"),
        (["--html", "."], 2, "is a folder"),
        (["--html", "data/one/0.wav/page.html"], 2, "is a file"),
        (["--shards", "data/one/0.wav"], 2, "is a file"),
        (["--fold", "9", "--folds", "4"], 2, "1, 2, 3, 4"),
        (["--clips-per-class", "-1"], 2, "--clips-per-class"),
        (["--jsn"], 2, "--json"),
    ],
)
def test_wrong_words(words, code, says, run, tree, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tree(one=6, two=6)
    found, out, err = run("data", *words)
    assert (found, out) == (code, "")
    assert says in err


def test_a_missing_folder_and_one_without_recordings(run, tmp_path):
    assert run(tmp_path / "none")[0] == 3
    assert run(tmp_path)[0] == 2


def test_a_data_set_that_cannot_be_split_is_shown_all_the_same(run, tree):
    code, out, _ = run(tree(one=1, two=1), "--json")
    found = json.loads(out)
    assert code == 1
    assert found["clips"] == 2
    assert found["problems"][0]["kind"] == "few"
    assert found["splits"] == {"unused": {"clips": 2, "hours": pytest.approx(1 / 3600, abs=1e-6)}}


def test_nothing_but_unreadable_files(run, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "text.wav").write_text("no recording\n")
    code, out, _ = run(tmp_path, "--html", tmp_path / "page.html")
    assert code == 1
    assert "unreadable: 1 error" in out
    assert "unreadable: 1 error" in (tmp_path / "page.html").read_text()


def test_the_page_and_the_way_that_leads_to_the_same_split(run, tree, tmp_path):
    page = tmp_path / "new folder" / "page.html"
    code, _, err = run(tree(one=8, two=8), "--html", page, "--split", "group", "--seed", 4, "--task", "my own")
    assert code == 0
    assert page.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert "--task 'my own' --set data.scheme=group --set data.split_seed=4" in err
    assert str(page) in err


def test_cache_holds_every_sample_at_the_rate(run, tree, tmp_path):
    code, out, _ = run(tree(one=6, two=6), "--cache", "--rate", 8000, "--json")
    assert code == 0
    assert json.loads(out)["cache"]["rate"] == 8000
    stored = sum(path.stat().st_size for path in (tmp_path / "home" / "cache").rglob("*.i16"))
    assert stored == 12 * 4000 * 2


def test_shards_are_a_data_set_of_what_can_be_used(run, tree, tmp_path):
    pytest.importorskip("webdataset")
    root = tree(one=6, two=6)
    (root / "one" / "text.wav").write_text("no recording\n")
    code, out, _ = run(root, "--shards", tmp_path / "shards", "--json")
    assert code == 1
    assert json.loads(out)["shards"]
    code, out, _ = run(tmp_path / "shards", "--json", "--html", tmp_path / "page.html")
    found = json.loads(out)
    assert (code, found["clips"], found["layout"]) == (0, 12, "webdataset")
    assert (tmp_path / "page.html").read_text(encoding="utf-8").count("data:image/png") == 2


def outside(*words: object, env: dict[str, str], **more: object) -> subprocess.CompletedProcess[bytes]:
    """Run the program as a shell does."""
    command = [sys.executable, "-m", "xfer.cli", "data", *map(str, words)]
    whole = {**os.environ, "PYTHONPATH": str(ROOT), **env}
    return subprocess.run(command, env=whole, timeout=120, check=False, **more)  # type: ignore[call-overload,no-any-return]


def test_names_that_stdout_cannot_say(tree):
    """A file name that is no Unicode, a label with accents and a terminal's commands, stdout in ASCII."""
    root = tree(**{"früh": 6, "\x1b[31m": 6})
    (root / "früh" / "b\udcff.wav").write_text("no recording\n")
    (root / "früh" / "no sound.wav").write_text("no recording\n")
    ascii_only = {"PYTHONIOENCODING": "ascii"}
    done = outside(root, "--json", env=ascii_only, capture_output=True)
    found = json.loads(done.stdout)
    assert done.returncode == 1, done.stderr
    assert set(found["classes"]) == {"früh", "\x1b[31m"}
    assert str(root / "früh" / "no sound.wav") in [path for each in found["problems"] for path in each["paths"]]
    done = outside(root, env=ascii_only, capture_output=True)
    assert done.returncode == 1, done.stderr
    assert b"\x1b" not in done.stdout + done.stderr
    assert rb"\x1b[31m" in done.stdout
    assert rb"fr\xfch/no sound.wav" in done.stdout
    assert rb"b\udcff.wav" in done.stdout


def test_json_takes_paths_that_are_no_unicode(capfd):
    result_json({"path": "b\udcff"})
    assert os.fsencode(json.loads(capfd.readouterr().out)["path"]) == b"b\xff"


def test_neither_torch_nor_what_draws_is_imported(tree, tmp_path):
    code = (
        "import sys\n"
        "from xfer.cli.app import main\n"
        f"main(['data', {str(tree(one=6, two=6))!r}, '--html', {str(tmp_path / 'page.html')!r}, '--quiet'])\n"
        "print(sorted({'torch', 'torchaudio', 'scipy', 'matplotlib', 'librosa', 'numba'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals there")
def test_colours_on_a_terminal_only(tree):
    root = tree(one=6, two=6)

    def on_a_terminal(**env: str) -> str:
        ours, theirs = os.openpty()
        try:
            outside(root, "--quiet", env={"TERM": "xterm-256color", **env}, stdout=theirs, stderr=subprocess.DEVNULL)
            return os.read(ours, 100_000).decode()
        finally:
            os.close(ours)
            os.close(theirs)

    assert "\x1b[" in on_a_terminal()
    assert not re.search(r"\x1b\[[0-9;]*3\dm", on_a_terminal(NO_COLOR="1"))


LONG = "a very long label that goes on and on, 晚晚晚晚晚晚晚晚晚晚晚晚晚晚, and further still than anyone would read"


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("classes", [1, 2, 24, 29, 500])
def test_tables_fit_the_terminal(width, classes):
    clips = [
        Clip(Path(f"{c}/{i}.wav"), f"{c:03} {LONG}", f"{c}", ("train", "validation", "test")[i % 3])
        for c in range(classes)
        for i in range(1 + c % 7)
    ]
    problems = [Problem("unreadable", "error", (clip.path,), f"{clip.path} is text") for clip in clips[:30]]
    summary = summarise(seen(clips, [fact(3600 * (1 + i % 90)) for i in range(len(clips))], problems, notes=(LONG,)))
    console = Console(file=StringIO(), width=width, highlight=False)
    for part in tables(summary, width, BLOCKS):
        console.print(part)
    for line in problem_lines(summary, width):
        console.print(line, soft_wrap=True)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert max(map(cell_len, lines)) <= width
    shown = [line for line in lines if re.match(r"\d{3} a very", line)]
    hidden = [int(n.replace(",", "")) for n in re.findall(r"and ([\d,]+) more between", "\n".join(lines))]
    assert len(shown) + sum(hidden) == classes
    assert all(re.search(r" \d+ +[\d.,]+ h ", line) for line in shown), "clips and length stand on the label's line"
    assert len(shown) <= 28
    listed = [line for line in lines if line.startswith("  - ")]
    rest = [int(n) for n in re.findall(r"and (\d+) more \(--json", "\n".join(lines))]
    assert len(listed) + sum(rest) == len(problems)


def test_lines_are_whole_where_there_is_no_terminal():
    path = Path("d", *["a long folder name"] * 9, "x.wav")
    summary = summarise(seen([], problems=[Problem("unreadable", "error", (path,), f"{path} is text: copy it again")]))
    lines = [line.plain for line in problem_lines(summary, None)]
    assert f"  - {path.relative_to('d')} is text: copy it again" in lines
    assert "\n".join(line.plain for line in problem_lines(summary, 80)).count("\n") > 4


def test_of_many_copies_a_few_are_listed():
    paths = tuple(Path("d", f"{i}.wav") for i in range(1, 13))
    summary = summarise(seen([], problems=[Problem("duplicate", "error", paths, "d/1.wav and d/2.wav are one sound")]))
    lines = [line.plain for line in problem_lines(summary, None)]
    assert lines[-6:] == [
        "  - 1.wav and 2.wav are one sound",
        *(f"      {i}.wav" for i in range(3, 7)),
        "      ... and 6 more (--json lists all)",
    ]


@pytest.mark.parametrize(("share", "drawn"), [(1, "████"), (0.5, "██"), (0.28125, "█▏"), (0.0001, "▏")])
def test_bars_are_drawn_to_an_eighth(share, drawn):
    assert bar(share, 4, BLOCKS) == drawn
    assert bar(share, 4, "#") == "#" * max(1, round(share * 4))


def test_rates_known_without_torch_are_those_of_the_nets():
    assert {name: net.sample_rate for name, net in NETS.items()} == RATES
