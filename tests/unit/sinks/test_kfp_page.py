"""What the KFP UI is shown: always valid, always escaped."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from runner.events import Event, Finished, Launched, LogLine, Metric, Phase, Status, Trial
from runner.sinks import kfp_page
from runner.sinks.kfp_page import Page, metric_name
from runner.sinks.search import Search

T = 1_795_269_727.0  # 2026-11-21 14:02:07 UTC
NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
TYPES = {"markdown", "table", "web-app"}

texts = st.text(st.characters(), max_size=40)
floats = st.floats()
metrics = st.builds(Metric, texts, floats, final=st.booleans())
statuses = st.builds(
    Status, st.sampled_from(Phase), texts, texts, texts, texts, texts, facts=st.dictionaries(texts, texts)
)
events = st.one_of(
    st.builds(Launched, texts, texts, links=st.dictionaries(texts, texts)),
    statuses,
    metrics,
    st.builds(LogLine, texts),
    st.builds(Trial, texts, st.sampled_from(Phase), st.dictionaries(texts, texts), floats, st.booleans()),
    st.builds(Finished, statuses, floats),
)


def page(*told: Event) -> Page:
    shown = Page()
    for event in told:
        shown.take(event, T)
    return shown


def outputs(shown: Page) -> list[dict[str, Any]]:
    found = json.loads(json.dumps(shown.metadata(T + 192), allow_nan=False))["outputs"]
    assert isinstance(found, list)
    return found


@given(st.lists(events, max_size=12))
def test_every_entry_is_one_the_ui_can_show(told: list[Event]) -> None:
    for entry in outputs(page(*told)):
        assert entry["type"] in TYPES
        assert entry["storage"] == "inline"
        assert entry["source"].strip()
        if entry["type"] == "table":
            assert entry["format"] == "csv"
            # As the front end reads it: trimmed, then parsed.
            table = list(csv.reader(io.StringIO(entry["source"].strip())))
            assert table
            assert all(len(row) == len(entry["header"]) for row in table)


@given(st.lists(metrics, max_size=80))
def test_metrics_are_such_as_the_api_takes(told: list[Event]) -> None:
    content = json.loads(json.dumps(page(*told).metrics(), allow_nan=False))
    names = [metric["name"] for metric in content["metrics"]]
    assert len(names) == len(set(names)) <= 50
    assert all(NAME.fullmatch(name) and len(name) <= 63 for name in names)
    assert all(set(metric) == {"name", "numberValue", "format"} for metric in content["metrics"])


@given(texts, st.sets(texts, max_size=5))
def test_names(name: str, others: set[str]) -> None:
    taken: list[str] = []
    for text in (name, *others, name, name.upper(), name + "-"):
        valid = metric_name(text, taken)
        assert NAME.fullmatch(valid)
        assert len(valid) <= 63
        assert valid not in taken
        taken.append(valid)


@pytest.mark.parametrize(
    ("name", "valid"),
    [
        ("loss", "loss"),
        ("validation:Accuracy", "validation-accuracy"),
        ("0.5 quantile", "m-0-5-quantile"),
        ("", "metric"),
        ("%%", "metric"),
        ("Zoë", "zo"),
        ("a" * 70, "a" * 63),
        ("a" * 62 + "_b", "a" * 62),
    ],
)
def test_names_stay_recognisable(name: str, valid: str) -> None:
    assert metric_name(name, []) == valid


def test_a_name_that_is_taken_gets_a_number() -> None:
    assert metric_name("Loss", ["loss"]) == "loss-2"
    assert metric_name("Loss", ["loss", "loss-2"]) == "loss-3"
    assert metric_name("a" * 63, ["a" * 63]) == "a" * 61 + "-2"


def test_a_metric_keeps_its_name() -> None:
    shown = page(Metric("loss", 1), Metric("LOSS", 2), Metric("loss", 3))
    found = shown.metrics()["metrics"]
    assert found == [
        {"name": "loss", "numberValue": 3.0, "format": "RAW"},
        {"name": "loss-2", "numberValue": 2.0, "format": "RAW"},
    ]


def test_no_number_is_shown_but_not_reported() -> None:
    shown = page(Metric("a", float("nan")), Metric("b", float("-inf")), Metric("c", 1))
    assert [metric["name"] for metric in shown.metrics()["metrics"]] == ["c"]  # type: ignore[attr-defined]
    assert outputs(shown)[1]["source"] == "a,nan,no\nb,-inf,no\nc,1,no\n"


def test_the_last_word_of_the_service_stands() -> None:
    final = Metric("loss", 0.2, final=True)
    shown = page(Status(Phase.SUCCEEDED, metrics=(final,)), Metric("loss", 0.3))
    assert outputs(shown)[1]["source"] == "loss,0.2,yes\n"


def test_in_a_search_no_reading_of_a_trial_stands_beside_the_bests_objective() -> None:
    final = Metric("objective", 0.9, final=True)
    shown = page(
        Metric("loss", 0.1, stream="001"),
        Trial("t-001-x", Phase.SUCCEEDED, {}, 0.9, best=True),
        Trial("t-002-x", Phase.SUCCEEDED, {}, 0.1),
        Metric("accuracy", 0.2, stream="002 algo-2"),
        Metric("explored", 2),
        Status(Phase.SUCCEEDED, metrics=(final,)),
    )
    assert {m["name"]: m["numberValue"] for m in shown.metrics()["metrics"]} == {  # type: ignore[attr-defined]
        "objective": 0.9,
        "explored": 2.0,
    }
    assert "loss" not in str(outputs(shown))
    assert "accuracy" not in str(outputs(shown))


def test_a_snapshot_stays_as_it_was() -> None:
    shown = page(Launched("j", "c"), Metric("loss", 1), Trial("t-1", Phase.SUCCEEDED, {}, 1.0, best=True))
    before = shown.snapshot()
    told = outputs(before), before.metrics()
    for event in (
        Metric("loss", 2),
        Metric("more", 3),
        LogLine("x"),
        Trial("t-2", Phase.SUCCEEDED, {}, 2.0, best=True),
        Finished(Status(Phase.FAILED), 1),
    ):
        shown.take(event, T)
    assert outputs(shown) != told[0]
    assert (outputs(before), before.metrics()) == told


def test_of_too_many_metrics_the_final_ones_are_kept() -> None:
    shown = page(*(Metric(f"m{number}", number) for number in range(60)), Metric("m59", 1, final=True))
    names = [metric["name"] for metric in shown.metrics()["metrics"]]  # type: ignore[attr-defined]
    assert len(names) == 50
    assert names[:2] == ["m59", "m0"]


def test_no_table_without_rows() -> None:
    assert [entry["type"] for entry in outputs(page(Launched("j", "c")))] == ["markdown"]
    assert [entry["type"] for entry in outputs(Page())] == ["markdown"]


def test_a_search_has_a_plot_its_best_parameters_and_a_table() -> None:
    shown = page(
        Trial("t-1", Phase.SUCCEEDED, {"eta": "0.1"}, 0.8, best=True),
        Trial("t-2", Phase.RUNNING, {"eta": "a,b"}),
        Trial("t-3", Phase.SUCCEEDED, {"eta": "0.3", "depth\n": "=1"}, 0.9, best=True),
    )
    plot, best, trials = outputs(shown)[1:]
    assert plot["type"] == "web-app"
    assert "<svg" in plot["source"]
    assert best == {
        "type": "table",
        "storage": "inline",
        "format": "csv",
        "header": ["parameter", "value in the best trial so far"],
        "source": "eta,0.3\ndepth,=1\n",
    }
    assert trials == {
        "type": "table",
        "storage": "inline",
        "format": "csv",
        "header": ["trial", "phase", "objective", "best", "parameters"],
        "source": 't-1,Succeeded,0.8,no,eta=0.1\nt-2,Running,,no,"eta=a,b"\nt-3,Succeeded,0.9,yes,"eta=0.3, depth==1"\n',
    }
    assert "- trials: 2 ended, 1 in progress\n- best so far: 0\\.9 (t-3)\n" in shown.summary(T)


def test_no_plot_before_a_trial_has_ended_and_no_best_parameters_without_a_best() -> None:
    shown = page(Trial("t-1", Phase.RUNNING, {"eta": "1"}))
    assert [entry["type"] for entry in outputs(shown)] == ["markdown", "table"]
    shown.take(Trial("t-1", Phase.FAILED, {"eta": "1"}), T)
    assert [entry["type"] for entry in outputs(shown)] == ["markdown", "web-app", "table"]


def test_the_plot_is_drawn_anew_for_news_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []

    def plot(search: Search) -> str:
        drawn.append(len(search.ended))
        return "x"

    monkeypatch.setattr(kfp_page, "plot", plot)
    shown = page(Trial("a", Phase.SUCCEEDED), Trial("b", Phase.SUCCEEDED))
    for _ in range(3):
        outputs(shown)
        shown.take(Status(Phase.RUNNING), T)
    assert drawn == [2]
    shown.take(Trial("c", Phase.SUCCEEDED), T)
    outputs(shown)
    assert drawn == [2, 3]


def test_the_summary_of_a_running_job() -> None:
    links = {"console": "https://example.com/a_(b)", "odd": "javascript:alert(1)"}
    shown = page(
        Launched("job-1", "a.b", links=links), Status(Phase.RUNNING, "InProgress", "Training", "<b>")
    )
    assert shown.summary(T + 192) == (
        "# job-1\n\n**Running** for 3m 12s: InProgress / Training: &lt;b&gt;\n\n"
        "- component: a.b\n"
        "- started: 2026-11-21 14:02:07 UTC\n"
        "- console: [https\\://example.com/a\\_(b)](https://example.com/a_%28b%29)\n"
        "- odd: javascript:alert(1)\n"
        "- as of: 2026-11-21 14:05:19 UTC\n\n"
    )


def test_the_summary_of_a_failure() -> None:
    status = Status(
        Phase.FAILED, "Failed", reason="it *broke*", hint="Look\nthere.", facts={"billed": "2m"}, metrics=()
    )
    log = [LogLine(f"line {number} ````") for number in range(30)]
    summary = page(Launched("j", "c"), *log, Finished(status, 192, 30)).summary(T)
    assert "**Failed after 3m 12s**: Failed\n" in summary
    assert "**Reason:** it \\*broke\\*\n\n**What to do:** Look there.\n\n" in summary
    assert "- billed: 2m\n" in summary
    fence = next(token for token in MarkdownIt().parse(summary) if token.type == "fence")
    assert fence.content.splitlines() == [f"line {number} ````" for number in range(10, 30)]


@given(st.lists(events, max_size=8))
def test_the_summary_renders_no_html_and_no_odd_link(told: list[Event]) -> None:
    rendered = MarkdownIt("commonmark").enable("table").render(page(*told).summary(T))
    tags = set(re.findall(r"<\s*/?\s*([a-zA-Z0-9]+)", rendered))
    assert tags <= {"h1", "h2", "p", "strong", "ul", "li", "a", "pre", "code"}
    assert all(target.startswith("http") for target in re.findall(r'href="([^"]*)"', rendered))


def test_the_summary_stays_below_what_the_viewer_cuts() -> None:
    huge = "|" * 2**20
    status = Status(Phase.FAILED, huge, huge, huge, huge, huge)
    shown = page(Launched(huge, huge), *[LogLine(huge)] * 30, Finished(status, 1))
    assert len(shown.summary(T)) < 400_000
