"""The benchmarks' own arithmetic; what they measure is measured by ``nox -s bench``."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.benchmarks import (
    chart,
    client,
    groups,
    h2load,
    machine,
    machines,
    proc,
    report,
    session,
    tables,
    targets,
    wrk,
)
from tests.benchmarks.peers import OURS, PEERS
from tests.benchmarks.progress import Progress
from tests.benchmarks.results import Figure, Results, Sample, median, percentile
from tests.benchmarks.works import WORKS

pytestmark = pytest.mark.thorough

WRK = """\
Running 3s test @ https://127.0.0.1:8443/
  1 threads and 16 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   350.11us  120.02us   3.21ms   90.11%
    Req/Sec    45.33k     1.10k   46.80k    70.00%
  Latency Distribution
     50%  331.00us
     75%  402.00us
     90%  510.00us
     99%    1.21ms
  136021 requests in 3.01s, 18.16MB read
Requests/sec:  45190.03
Transfer/sec:      6.03MB
"""

H2LOAD = """\
starting benchmark...
spawning thread #0: 16 total client(s). 500 total requests
progress: 100% done

finished in 1.25s, 400.00 req/s, 55.12KB/s
requests: 500 total, 500 started, 500 done, 498 succeeded, 2 failed, 2 errored, 0 timeout
status codes: 499 2xx, 0 3xx, 0 4xx, 1 5xx
traffic: 68.85KB (70500) total, 48.34KB (49500) headers (space savings 0.00%), 6.35KB data
"""

PLENTY = {"rate": 90_000.0, "p99": 0.5, "cpu": 1.0, "memory": 4.0, "time": 20.0, "unloaded": 0.5}
"""Figures of ours with which every target is reached, beside those of the others."""


@pytest.fixture
def results() -> Results:
    """Every figure of every server, twice; ours is much better."""
    made = Results(machine={"date": "2026-11-22", "processor": "a <fast> one & only"})
    for work in WORKS:
        for peer in PEERS:
            for turn in (0, 1):
                metrics = {metric.name: 100.0 for metric in work.metrics}
                if peer.ours:
                    metrics = {name: PLENTY.get(name, 1.0) for name in metrics}
                made.add(turn, work.name, peer.name, metrics)
    return made


def test_wrk_is_read() -> None:
    """Requests, rate and latencies in milliseconds come from what wrk prints."""
    assert wrk.parse(WRK) == wrk.Report(
        requests=136_021, rate=45_190.03, p50=0.331, p99=1.21, errors=0
    )


def test_errors_that_wrk_reports_are_counted() -> None:
    """Responses that are none of success and broken connections are errors."""
    errors = (
        "  Socket errors: connect 1, read 2, write 3, timeout 4\n  Non-2xx or 3xx responses: 10\n"
    )
    assert wrk.parse(WRK.replace("Requests/sec", errors + "Requests/sec")).errors == 20


@pytest.mark.parametrize(
    ("text", "expected"), [("310.00us", 0.31), ("1.20ms", 1.2), ("1.5s", 1500.0), ("2m", 120_000.0)]
)
def test_durations_are_read(text: str, expected: float) -> None:
    """Every unit becomes milliseconds."""
    assert wrk.milliseconds(text) == pytest.approx(expected)


@pytest.mark.parametrize(
    "parse",
    [
        pytest.param(wrk.parse, id="wrk"),
        pytest.param(wrk.milliseconds, id="duration"),
        pytest.param(h2load.parse, id="h2load"),
    ],
)
def test_anything_else_is_refused(parse: Callable[[str], object]) -> None:
    """What another version may print is not taken for a figure."""
    with pytest.raises(ValueError, match="unable to connect"):
        parse("unable to connect to 127.0.0.1:8443 Connection refused")


def test_h2load_is_read() -> None:
    """Answers, failures and time come from what h2load prints."""
    assert h2load.parse(H2LOAD) == h2load.Report(done=500, bad=3, seconds=1.25)


def test_a_response_without_reason_phrase_is_a_response() -> None:
    """h2load counts it as failed and in no class of status codes; it is neither."""
    said = H2LOAD.replace(
        "498 succeeded, 2 failed, 2 errored", "0 succeeded, 500 failed, 0 errored"
    )
    said = said.replace("499 2xx", "0 2xx").replace("1 5xx", "0 5xx")
    assert h2load.parse(said) == h2load.Report(done=500, bad=0, seconds=1.25)


def test_cpu_of_a_process_is_read() -> None:
    """User and system time, its own and its ended children's, whatever its name is."""
    stat = "42 (a) b (c) S 1 42 42 0 -1 4194560 900 0 0 0 100 20 3 4 20 0 5 0 12345 1000 50"
    assert proc.cpu_ticks(stat) == 127


def test_resident_memory_is_read() -> None:
    """The whole of it, not its shared or proportional part."""
    rollup = "55d0-7ffc ---p 00:00 0  [rollup]\nRss:     12345 kB\nPss:      9999 kB\n"
    assert proc.resident_of(rollup) == 12345
    with pytest.raises(ValueError, match="no Rss"):
        proc.resident_of("")


def test_median_and_percentile() -> None:
    """The median of nothing is nothing; percentiles are measured values."""
    assert median([]) is None
    assert median([3, 1, 2]) == 2
    assert percentile(range(1, 101), 99) == 99
    assert percentile([7], 50) == 7


def test_a_ratio_compares_within_rounds() -> None:
    """A round in which the machine was slow for both changes nothing."""
    results = Results()
    for turn, slow in enumerate((1, 1, 10)):
        results.add(turn, "w", "a", {"m": 30.0 / slow})
        results.add(turn, "w", "b", {"m": 10.0 / slow})
    results.add(3, "w", "a", {"m": 999.0})  # without its counterpart
    assert results.ratio(Figure("w", "m", "a"), Figure("w", "m", "b")) == pytest.approx(3)
    assert results.ratio(Figure("w", "m", "a"), Figure("w", "m", "none")) is None


def test_results_survive_json(results: Results) -> None:
    """What is written is read again."""
    results.fail("stalled", "stdlib", "stops serving")
    again = Results.from_json(results.to_json())
    assert again == results
    assert isinstance(again.samples[0], Sample)
    assert Results.from_json(Results().to_json()) == Results()


def test_every_target_is_about_something_measured() -> None:
    """Works, metrics and servers of the targets exist."""
    figures = {
        Figure(work.name, metric.name, peer.name)
        for work in WORKS
        for metric in work.metrics
        for peer in PEERS
    }
    for target in targets.TARGETS:
        assert Figure(target.work, target.metric, OURS) in figures
        assert target.times is None or target.times in figures


def test_targets_are_reached_with_better_figures(results: Results) -> None:
    """A server that is better by far reaches all that compare it with others."""
    verdicts = [targets.evaluate(target, results) for target in targets.TARGETS]
    assert [verdict.target for verdict in verdicts if verdict.reached is not True] == [
        target for target in targets.TARGETS if target.work == "connect-resumed"
    ]


def test_targets_are_missed_with_worse_figures(results: Results) -> None:
    """A figure beyond its bound is not reached, whichever way the bound goes."""
    results.samples = [
        sample._replace(value=1.0 if sample.metric == "rate" else 1e6)
        if sample.peer == OURS and sample.metric != "unloaded"
        else sample
        for sample in results.samples
    ]
    verdicts = [targets.evaluate(target, results) for target in targets.TARGETS]
    assert not any(verdict.reached for verdict in verdicts)


def test_targets_without_figures_are_open() -> None:
    """What was not measured is neither reached nor missed."""
    assert {targets.evaluate(target, Results()).reached for target in targets.TARGETS} == {None}


def test_tables_are_rectangular(results: Results) -> None:
    """Each row has a cell for each column, also with gaps and failures."""
    results.samples = [sample for sample in results.samples if sample.peer != "nginx"]
    results.add(0, "import", "nginx", {"time": 1.0})
    results.fail("stalled", "nginx", "stops serving")
    for rows in (tables.figures(results), tables.ratios(results), tables.targets(results)):
        assert len({len(row) for row in rows}) == 1
        assert len(tables.markdown(rows).splitlines()) == len(rows) + 1
    assert "fails" in tables.text(tables.figures(results))
    assert "stalled: nginx: stops serving" in tables.notes(results)


def test_a_ratio_in_the_table_says_how_much_better_ours_is(results: Results) -> None:
    """More than one is better, for rates and for times."""
    head, *rows = tables.ratios(results)
    column = head.index("uvicorn")
    by_row = {(row[0], row[1]): row[column] for row in rows}
    assert by_row["GET, keep-alive, 16 connections", "requests/s"] == "900"
    assert by_row["Connect, GET, close", "ms CPU"] == "100"


def test_the_documentation_has_every_figure_once() -> None:
    """The tables of the page, together, have all metrics of all works."""
    columns = [(c.work, c.metric) for group in groups.GROUPS for c in group.columns]
    assert sorted(columns) == sorted((w.name, m.name) for w in WORKS for m in w.metrics)


def test_tables_of_the_documentation_are_narrow(results: Results) -> None:
    """Five columns at most, a row for each server, and the ratio behind the others' figures."""
    made = dict(groups.tables(results))
    assert len(made) == len(groups.GROUPS)
    for rows in made.values():
        assert len({len(row) for row in rows}) == 1
        assert len(rows[0]) <= 5
        assert len(groups.markdown(rows).splitlines()) == len(rows) + 1
        assert len({row[0] for row in rows}) == len(rows)
    by_server = {row[0]: row[2] for row in made["Requests/s over connections that are kept"]}
    assert by_server["uvicorn"] == "100 (900)"
    assert by_server[OURS] == "90\u202f000"


def test_the_landing_page_says_who_failed(results: Results) -> None:
    """Its table has a cell for each server, and in words what one could not do."""
    results.samples = [s for s in results.samples if (s.work, s.peer) != ("stalled", "cheroot")]
    results.fail("stalled", "cheroot", "stops serving")
    rows = {row[0]: row for row in groups.headlines(results)}
    assert set(groups.HEADLINERS) < set(rows)
    assert rows["cheroot"] == ["cheroot", "100", "100", "stops serving"]


def test_what_is_published_is_what_was_measured(tmp_path: Path) -> None:
    """Tables and charts of the documentation come from the samples beside them."""
    report.draw(report.published(), tmp_path)
    for name in report.FILES:
        made = (tmp_path / name).read_text(encoding="utf-8")
        assert made == (report.DOCS / name).read_text(encoding="utf-8"), f"nox -s bench: {name}"


def test_each_kind_of_machine_keeps_its_table(results: Results, tmp_path: Path) -> None:
    """What is published takes the place of the same processor's, and no other's."""
    (tmp_path / report.MEASURED).mkdir()
    for date, processor in (("2026-11-20", "One"), ("2026-11-21", "Two"), ("2026-11-22", "One")):
        results.machine = {"date": date, "processor": processor, "python": "3.13.0"}
        report.publish(results, tmp_path)
    assert [r.machine["date"] for r in report.published(tmp_path)] == ["2026-11-22", "2026-11-21"]
    page = (tmp_path / "performance.inc").read_text(encoding="utf-8")
    assert "| work |  | One, Python 3.13 | Two, Python 3.13 |" in page
    assert "| GET, keep-alive, 16 connections | rate | 900 | 900 |" in page
    for name in ("One", "Two"):
        assert f"## {name}, Python 3.13: figures" in page


def test_a_machine_of_which_only_ratios_are_known_has_a_column_and_no_table() -> None:
    """They are said beside the others' and called by no other name."""
    told = Results(machine={"processor": "Far"}, told={"keep-alive-16/rate/uvicorn": 0.95})
    assert [row[2] for row in machines.compared([told])] == ["Far, Python ", "0.95"]
    assert "figures" not in report.markdown([told])


def test_another_python_is_another_machine() -> None:
    """The name of a file tells processor and Python, and nothing that changes daily."""
    facts = {"processor": "AMD EPYC", "python": "3.14.1", "date": "2026-11-22"}
    assert machine.key(facts) == "amd-epyc-python-3.14"


def test_the_build_of_python_is_said() -> None:
    """Each thing that speed depends on is named, whether it is there or not."""
    plain = machine.build({"CONFIG_ARGS": "'--enable-shared'"}, "GCC 12")
    assert plain == "no PGO, no LTO, no tail calls, no JIT, GCC 12"
    options = "--enable-optimizations --with-lto --enable-experimental-jit"
    best = {"CONFIG_ARGS": options, "Py_TAIL_CALL_INTERP": 1, "Py_GIL_DISABLED": 1}
    assert machine.build(best, "Clang") == "PGO, LTO, tail calls, JIT, free-threaded, Clang"
    assert machine.build({}, "MSC").startswith("no PGO")


def test_the_machine_is_said() -> None:
    """Every session says on what it ran; nothing of that is empty."""
    facts = machine.facts()
    assert all(facts.values())
    assert {"processor", "frequency", "system", "python", "build"} < set(facts)


def test_tables_of_the_documentation_leave_out_what_nobody_measured(results: Results) -> None:
    """A session of one work has one table, and of its servers those that took part."""
    results.samples = [s for s in results.samples if s.work == "import" and s.peer != "nginx"]
    ((title, rows),) = groups.tables(results)
    assert title == "Start, in ms"
    assert "nginx" not in {row[0] for row in rows}


@pytest.mark.parametrize(
    ("value", "expected"),
    [(45190.03, "45\u202f190"), (123.4, "123"), (12.34, "12.3"), (0.3, "0.30")],
)
def test_numbers_have_about_three_digits(value: float, expected: str) -> None:
    """No more digits than the measurement is worth."""
    assert tables.number(value) == expected


def test_the_chart_is_a_picture_of_all_servers(results: Results) -> None:
    """It is well-formed, each panel has a bar for each server, and none leaves its panel."""
    root = ET.fromstring(chart.svg(results))
    namespace = "{http://www.w3.org/2000/svg}"
    assert root.tag == f"{namespace}svg"
    panels = root.findall(f"{namespace}g")
    assert len(panels) == len(chart.PANELS)
    for panel in panels:
        bars = panel.findall(f"{namespace}rect")
        assert len(bars) == len(PEERS)
        assert all(0 < float(bar.attrib["width"]) <= 220 for bar in bars)


def test_the_chart_for_narrow_screens_has_one_column(results: Results) -> None:
    """All diagrams are there, one below the other, in half the width."""
    wide, narrow = (ET.fromstring(chart.svg(results, columns=count)) for count in (2, 1))
    width, height = (int(part) for part in wide.attrib["viewBox"].split()[2:])
    assert narrow.attrib["viewBox"].split()[2] == str(width // 2)
    assert int(narrow.attrib["viewBox"].split()[3]) > 1.5 * height
    assert len(narrow) == len(wide)


def test_a_chart_of_nothing_is_well_formed() -> None:
    """A session that measured nothing of the panels leaves an empty picture."""
    root = ET.fromstring(chart.svg(Results()))
    assert not root.findall("{http://www.w3.org/2000/svg}g")


def test_the_chart_has_a_dark_form(results: Results) -> None:
    """All colours come by a class, and each class has one for dark pages, too."""
    root = ET.fromstring(chart.svg(results))
    assert not [element for element in root.iter() if "fill" in element.attrib]
    light, dark = (root.findtext("{*}style") or "").split("prefers-color-scheme: dark")
    for name in {element.attrib["class"] for element in root.iter() if "class" in element.attrib}:
        assert f".{name} " in light
        assert f".{name} " in dark


def test_the_report_names_what_was_left_out(results: Results) -> None:
    """Terminal and documentation both say what is missing."""
    results.skipped = {"h2load-16": "h2load is not installed: apt-get install nghttp2-client"}
    for text in (report.text(results), report.markdown([results])):
        assert "h2load-16 left out: h2load is not installed" in text


def test_rounds_begin_with_another_server_each() -> None:
    """Works stay in order and complete, servers take turns."""
    cells = session.selection(["keep-alive-1", "keep-alive-16"])
    for turn in range(len(PEERS) + 1):
        order = list(session.rotated(cells, turn))
        assert set(order) == set(cells)
        assert order[0][1] is PEERS[turn % len(PEERS)]
        assert [work.name for work, _ in order] == [work.name for work, _ in cells]


def test_a_selection_names_works_and_servers() -> None:
    """Either part of a pattern may be left out; what matches nothing is an error."""
    cells = session.selection(["keep-alive-*/uvicorn", "/nginx"])
    works = {peer.name: 0 for _, peer in cells}
    for _, peer in cells:
        works[peer.name] += 1
    assert works == {"uvicorn": 3, "nginx": len([work for work in WORKS if not work.only])}
    with pytest.raises(ValueError, match="matches no work"):
        session.selection(["/apache"])


def test_progress_without_a_terminal_is_a_line_for_each_work() -> None:
    """A log is not filled with bars."""
    shown = io.StringIO()
    progress = Progress(4, shown)
    for work, peer in (("a", "x"), ("a", "y"), ("b", "x"), ("b", "y")):
        progress.step(work, peer)
    progress.end()
    assert [line.split()[:2] for line in shown.getvalue().splitlines()] == [
        ["0/4", "a"],
        ["2/4", "b"],
    ]


def test_progress_in_a_terminal_is_one_line() -> None:
    """The bar is drawn over itself and removed at the end."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    shown = Terminal()
    progress = Progress(2, shown)
    progress.step("a", "x")
    progress.step("a", "y")
    progress.end()
    assert "\n" not in shown.getvalue()
    assert "[############............] 1/2 a y" in shown.getvalue()
    assert shown.getvalue().endswith("\r\x1b[K")


def test_the_stalled_hello_is_longer_than_what_is_sent_of_it() -> None:
    """The peers that stop in the middle of their hello do stop in its middle."""
    hello = client.client_hello(client.create_context())
    assert hello[:1] == b"\x16"
    assert len(hello) > 150
