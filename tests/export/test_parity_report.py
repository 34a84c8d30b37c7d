"""What parity measures and how it says it: measures, filters by band, the sentence, JSON, page."""

from __future__ import annotations

import json
import math
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.export.nets import small_net
from xfer.export import onnx as graphs
from xfer.export.fold import fold
from xfer.export.parity import STAGES, ParityReport, Row, in_order, limit_of
from xfer.export.parity.filters import compare_filters, kernels_in
from xfer.export.parity.listening import tones
from xfer.export.parity.measures import Measures, measure
from xfer.export.parity.page import document
from xfer.export.parity.page.charts import KINDS, kind_of
from xfer.export.parity.plan import few_of
from xfer.export.parity.report import table
from xfer.runtime.audio import resample
from xfer.train.nets.frontends import Sinc


def report_of(*rows: Row, taps: tuple[str, ...] = ("a", "b")) -> ParityReport:
    return ParityReport("model", "fp32", "engine", "processor", ("x", "y"), in_order(taps), rows)


def row(stage: str, error: float, **more: object) -> Row:
    return Row(stage, str(more.pop("input", "x")), 1, error, limit_of(stage, "fp32"), **more)  # type: ignore[arg-type]


values = st.floats(-100, 100, width=32)


@settings(max_examples=40, deadline=None)
@given(arrays(np.float32, 9000, elements=values), arrays(np.float64, 9000, elements=values))
def test_measures_are_what_their_formulas_say(found: np.ndarray, expected: np.ndarray) -> None:
    """Over more than one piece, against numpy over the whole."""
    off = found.astype(np.float64) - expected
    measures = measure(found.reshape(90, 100), expected.reshape(90, 100))
    assert measures.largest == np.abs(off).max()
    assert measures.peak == np.abs(expected).max()
    if np.linalg.norm(expected) > 0:
        assert measures.l2 == pytest.approx(np.linalg.norm(off) / np.linalg.norm(expected), rel=1e-9)
        if np.linalg.norm(found) > 0:
            cosine = found.astype(np.float64) @ expected / np.linalg.norm(found.astype(np.float64))
            assert measures.cosine == pytest.approx(cosine / np.linalg.norm(expected), abs=1e-7)
    if measures.l2 > 0 and math.isfinite(measures.l2):
        assert measures.snr_db == pytest.approx(-20 * math.log10(measures.l2))


@pytest.mark.parametrize("place", [0, 8191, 8192, 9999])
@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_one_value_that_is_none_is_never_within_a_limit(place: int, wrong: float) -> None:
    found = np.zeros(10000, np.float32)
    found[place] = wrong
    measures = measure(found, np.ones(10000))
    assert not measures.largest <= 1e30
    json.dumps(row("scores", measures.largest, measures=measures).document(), allow_nan=False)
    assert not report_of(row("scores", measures.largest)).ok


def test_silence_equals_silence_and_other_shapes_are_infinitely_far() -> None:
    silence = np.zeros((3, 4), np.float32)
    assert measure(silence, silence) == Measures(0.0, 0.0, 0.0, 1.0)
    assert measure(silence, silence).snr_db == math.inf
    assert measure(silence + 1e-9, silence).relative(1e-6) == pytest.approx(1e-3)
    assert measure(silence[:2], silence).largest == math.inf


def sinc() -> tuple[Sinc, np.ndarray]:
    torch.manual_seed(0)
    frontend = Sinc(24, 251, 16000, 125)
    return frontend, frontend.compute_kernels()[:, 0].detach().numpy()


def test_filters_of_the_net_are_the_analytic_ones() -> None:
    frontend, kernels = sinc()
    found = compare_filters(kernels, frontend.describe(), frontend.oracle_parameters())
    for stage, name in (("impulse", "impulse"), ("response", "response_db"), ("edges", "edges_hz")):
        assert found.worst(name)[1] < limit_of(f"filter {stage}", "fp32") / 10
    low, high = (edge.detach().numpy() for edge in frontend.bands())
    assert np.allclose(found.low_hz, low)
    assert np.allclose(found.high_hz, high)


def test_an_edge_that_moves_is_measured_in_hertz() -> None:
    """Physics: a band moved by 5 Hz as a whole has both its edges moved by 5 Hz."""
    frontend, kernels = sinc()
    wanted, parameters = frontend.describe(), frontend.oracle_parameters()
    with torch.no_grad():
        frontend.low[12] += 5.0
    found = compare_filters(frontend.compute_kernels()[:, 0].detach().numpy(), wanted, parameters)
    at, moved = found.worst("edges_hz")
    assert at == 12
    assert moved == pytest.approx(5.0, rel=0.05)
    assert np.abs(np.delete(found.edges_hz, 12)).max() < 1e-4
    gained = compare_filters(kernels * np.float32(10 ** (0.5 / 20)), wanted, parameters)
    assert gained.response_db == pytest.approx(0.5, abs=1e-3)  # half a decibel more, and no edge elsewhere
    assert gained.edges_hz.max() < 1e-2


def test_the_filters_are_read_from_the_graph_itself() -> None:
    net = small_net("sinc")
    graph = graphs.to_shipped(graphs.to_twin(fold(net)))
    found = kernels_in(graph, net.frontend.describe())
    assert found is not None
    assert np.array_equal(found, net.frontend.compute_kernels()[:, 0].detach().numpy())
    assert kernels_in(graph, {**net.frontend.describe(), "length": 99}) is None


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100])
def test_tones_are_one_sound_at_every_rate(rate: int) -> None:
    """The formula at one rate, resampled, is the formula at the other: else parity would blame the runtime for it."""
    window = 3 * rate + 7
    other = 44100 if rate != 44100 else 22050
    heard = resample(tones(window, rate, other), other, rate)[:window]
    wanted = tones(window, rate, rate)
    assert len(wanted) == window
    assert np.abs(heard - wanted[: len(heard)]).max() < limit_of("heard", "fp32") / 3
    assert np.abs(wanted).max() > 0.3


def test_the_first_stage_in_the_way_of_the_sound_is_named() -> None:
    report = report_of(
        row("scores", 0.5, graph="model", engine="E"),
        row("tap b", 1e-2, graph="twin", engine="E"),
        row("tap a", 1e-6, graph="twin", engine="E"),
        row("front-end", 1e-7, graph="twin", engine="E"),
    )
    assert report.first_failure is not None
    assert report.first_failure.stage == "tap b"
    assert "'tap b' (x, E): 1.0e-02 where 1e-04 is allowed; 'tap a' before it is within 1e-06" in report.sentence()
    assert "2 of 4" in report.sentence()
    lines = table(report)
    assert [line.split("  ")[0] for line in lines[1:]] == ["front-end", "tap a", "tap b", "scores"]
    assert [line.endswith("BEYOND") for line in lines[1:]] == [False, False, True, True]


def test_the_table_gives_every_stage_a_limit_and_a_reason() -> None:
    for stage in STAGES.values():
        assert stage.limits["fp32"] >= 0
        assert len(stage.reason) > 30
        assert stage.measure
    with pytest.raises(ValueError, match=r"no limits for precision 'fp23': .*fp32"):
        limit_of("scores", "fp23")


def test_json_is_json_and_a_row_is_a_line() -> None:
    report = report_of(row("tap a", math.nan, note='a "quoted" note'), row("scores", 1e-7), row("top-1", 0.0))
    text = report.to_text()
    found = json.loads(text)
    assert found["rows"][0]["error"] is None
    assert not found["ok"]
    assert found["comparisons"] == len(found["rows"]) == 3
    assert found["top1_agreement"] == 1.0
    assert sum(line.startswith('    {"stage"') for line in text.splitlines()) == 3


class Tags(HTMLParser):
    """Every tag and attribute of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


def test_the_page_needs_nothing_and_runs_nothing_whatever_a_clip_is_called() -> None:
    evil = "real: <script>alert(1)</script>\udce4"
    frontend, kernels = sinc()
    report = ParityReport(
        "model",
        "fp32",
        "engine",
        "processor",
        (evil,),
        in_order(("a",)),
        (row("tap a", 1.0, input=evil, graph="twin", engine="E", measures=measure(np.ones(3), np.zeros(3))),),
        filters=compare_filters(kernels, frontend.describe(), frontend.oracle_parameters()),
    )
    page = document(report)
    tags = Tags()
    tags.feed(page)
    assert not any(tag in ("script", "link", "iframe") for tag, _ in tags.seen)
    assert all(
        str(value).startswith("data:")
        for _, found in tags.seen
        for key, value in found.items()
        if key in ("src", "href")
    )
    assert not re.search(r"https?://", page)
    assert "parity failed" in page
    assert "1 of 1 beyond the limit" in page
    assert sum(tag == "circle" and "real" in str(found.get("class")) for tag, found in tags.seen) >= 1
    page.encode()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("clipped speech", "short"),
        ("noise in bursts", "noise"),
        ("speech by formula", "formula"),
        ("real: clipped.wav", "real"),
        ("square", "steady"),
        ("filter 3, 50 to 90 Hz", "band"),
    ],
)
def test_each_input_has_its_kind(name: str, kind: str) -> None:
    assert kind_of(name) == kind
    assert kind in {each for each, _, _ in KINDS}


def test_the_few_stand_for_all() -> None:
    names = ("silence", "dc", "impulse", "square", "chirp", "noise at -60 dBFS", "clipped speech", "real: a", "real: b")
    few = few_of(names)
    assert len(few) == 7
    assert {"real: a", "impulse", "square"} <= set(few)
    assert few_of(("dc",)) == ("dc",)
