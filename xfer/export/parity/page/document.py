"""The page's text and tables around its charts."""

from __future__ import annotations

import math
from collections.abc import Iterable

from xfer.export.inputs import REAL
from xfer.export.parity.filters import FilterReport
from xfer.export.parity.limits import STAGES, limit_of, stage_of
from xfer.export.parity.page.charts import KINDS, bands_chart, errors_chart, kind_of, picture, responses_chart
from xfer.export.parity.report import ParityReport, Row, judged
from xfer.train.page import Child, Markup, described, element, page, sheet, tiles


def document(report: ParityReport) -> str:
    """The whole page."""
    parts = [
        *_head(report),
        *_failures(report),
        *_errors(report),
        *_stages(report),
        *(_filters(report.filters, report.precision) if report.filters else ()),
    ]
    return page(
        f"{report.model}: parity",
        parts,
        "; the same numbers, and more, are in the JSON file beside it",
        styles=[sheet(__package__, "parity.css")],
    )


def _head(report: ParityReport) -> Iterable[Child]:
    yield element("h1", f"{report.model}: does the model file compute what was trained?")
    if report.ok:
        yield element("div", element("span", "parity holds", class_="verdict fine"))
    else:
        yield element("div", element("span", "parity failed", class_="verdict error"))
        yield element("p", report.sentence())
    agree, of = report.agreement()
    real = sum(name.startswith(REAL) for name in report.inputs)
    scores = report.worst("scores")
    shown = [
        (f"{len(report.rows):,}", "comparisons"),
        (f"{len(report.inputs):,}", f"inputs, {real:,} of them recorded"),
        (f"{agree:,} of {of:,}", "best labels equal"),
    ]
    if scores is not None:
        shown.append((f"{scores.error:.0e}", "largest change of a score"))
    shown.append((_nearest(report), "of a limit, at worst"))
    yield tiles(shown)
    about = [
        ("model", f"{report.model}, {report.precision}"),
        ("main engine", report.engine),
        ("also in", ", ".join(report.engines[1:])),
        ("processor", report.processor),
        *(("accuracy", sentence) for sentence in judged(report)),
        *(("note", note) for note in report.notes),
    ]
    yield described(about)


def _nearest(report: ParityReport) -> str:
    """How much of its limit the worst comparison uses."""
    shares = [row.error / row.limit for row in report.compared.values() if row.limit]
    share = max((math.inf if math.isnan(each) else each for each in shares), default=0.0)
    return f"{share:.0%}" if share < 10 else f"{share:,.0f} times" if math.isfinite(share) else "no number"


def _failures(report: ParityReport) -> Iterable[Child]:
    failed = [stage for stage, row in report.compared.items() if not row.ok]
    if not failed:
        return
    yield element("h2", "Where they part")
    items = []
    for stage in failed:
        within, of = report.agreement(stage)
        row = report.compared[stage]
        beyond = f"{of - within:,} of {of:,} beyond the limit"
        items.append(element("li", element("b", stage), f": {beyond}, the worst at {row.where}: {_said(row)}"))
    yield element("div", element("ul", *items), class_="card problem error")


def _said(row: Row) -> str:
    return row.note or (f"{row.error:.1e} where {row.limit:.0e} is allowed" if row.limit else "not the same")


def _errors(report: ParityReport) -> Iterable[Child]:
    sized = [stage for stage, row in report.compared.items() if row.limit]
    here = {kind_of(row.input) for row in report.rows}
    legend = [element("span", element("i", class_=f"dot {kind}"), words) for kind, words, _ in KINDS if kind in here]
    legend += [
        element("span", element("i", class_="ring"), "in a batch, on two threads, or in another engine"),
        element("span", element("i", class_="line"), "limit"),
    ]
    yield element("h2", "Error by stage")
    yield element(
        "p",
        "From sound to scores, in the order in which sound passes through them: each dot is one comparison with the "
        "checkpoint in float32, at the front-end with the oracle in float64.",
        class_="soft",
    )
    chart = element("div", errors_chart(sized, report.rows), class_="scroll")
    yield element("div", element("div", *legend, class_="legend"), chart, class_="card")


def _stages(report: ParityReport) -> Iterable[Child]:
    yield element("h2", "Stages and their limits")
    names = (("stage", ""), ("worst", "n"), ("limit", "n"), ("SNR", "n hide"), ("cosine", "n hide"), ("at", "hide"))
    head = element("tr", *(element("th", name, class_=style or None) for name, style in names))
    rows = [_stage(report, stage, row) for stage, row in report.compared.items()]
    kinds = dict.fromkeys(stage_of(stage).name for stage in report.compared)
    reasons = [
        element("dt", name)
        + element("dd", f"{STAGES[name].measure}. {STAGES[name].reason[0].upper()}{STAGES[name].reason[1:]}.")
        for name in kinds
    ]
    yield element(
        "div",
        element("div", element("table", element("thead", head), element("tbody", *rows)), class_="scroll"),
        element(
            "details",
            element("summary", "What is measured, and why these limits"),
            element("dl", *map(Markup, reasons), class_="why"),
        ),
        class_="card",
    )


def _stage(report: ParityReport, stage: str, row: Row) -> Markup:
    some = [each for each in report.rows if each.stage == stage]
    measures = [each.measures for each in some if each.measures is not None]
    ratios = [each.snr_db for each in measures]
    ratio = f"{min(ratios):.0f} dB" if ratios and math.isfinite(min(ratios)) else ""
    turn = 1 - min((each.cosine for each in measures), default=1.0)
    if row.limit:
        worst, limit = f"{row.error:.1e}", f"{row.limit:.0e}"
    else:
        worst, limit = f"{sum(each.ok for each in some):,} of {len(some):,}", "all"
    return element(
        "tr",
        element("td", stage, class_="label"),
        element("td", worst, class_="n" if row.ok else "n beyond"),
        element("td", limit, class_="n"),
        element("td", ratio, class_="n hide"),
        element("td", (f"1 - {max(turn, 0):.0e}" if turn > 1e-15 else "1") if measures else "", class_="n hide"),
        element("td", row.where if row.limit else "", class_="hide"),
    )


def _filters(found: FilterReport, precision: str) -> Iterable[Child]:
    yield element("h2", f"The {len(found.low_hz)} sinc filters in the file, against the formula")
    yield element(
        "p",
        "The constants of the graph beside the analytic filters in float64: gain over each analytic filter's peak.",
        class_="soft",
    )
    legend = element(
        "div",
        element("span", element("i", class_="pale"), "analytic"),
        element("span", element("i", class_="real"), "exported, on top of it"),
        class_="legend",
    )
    at, most = found.worst("response_db")
    edge, moved = found.worst("edges_hz")
    said = (
        f"Largest: {most:.1e} dB, {found.band(at)}. A -6 dB edge moves by {moved:.1e} Hz at most, {found.band(edge)}."
    )
    deepest = float(found.difference_db.max())
    cards = [
        ("Frequency responses, some bands", legend, responses_chart(found)),
        (
            "Largest difference within the pass band",
            element("p", said, class_="soft"),
            bands_chart(found, limit_of("filter response", precision)),
        ),
        (
            "All filters as exported",
            element("p", "From 60 dB below the peak, dark, to the peak.", class_="soft"),
            picture(found, found.exported_db, -60.0, 0.0, "responses of all filters"),
        ),
        (
            "Exported less analytic",
            element(
                "p",
                f"From 180 dB below the peak, dark, to 60 dB below it; the strongest is {-deepest:.0f} dB below.",
                class_="soft",
            ),
            picture(found, found.difference_db, -180.0, -60.0, "difference of all filters"),
        ),
    ]
    yield element(
        "div",
        *(element("div", element("h3", name), *parts, class_="card") for name, *parts in cards),
        class_="grid wide",
    )
