"""What is told of each event, and that no job can tell it in our stead."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.events import (
    Event,
    Finished,
    Launched,
    Level,
    LogLine,
    LogSummary,
    Metric,
    Notice,
    Phase,
    Status,
    Trial,
)
from runner.sinks.narrate import Kind, Line, Narrator, prefix, word
from runner.sinks.text import lines

T = 1_795_269_727.0  # 2026-11-21 14:02:07 UTC


def told(*events: Event | tuple[float, Event], narrator: Narrator | None = None) -> list[str]:
    """The lines for the events, each at T or at T plus its number of seconds, without the day's line."""
    narrator = narrator or Narrator()
    shown = []
    for item in events:
        after, event = item if isinstance(item, tuple) else (0.0, item)
        shown += [f"{prefix(line)} {line.text}" for line in narrator.tell(event, T + after)]
    return [line for line in shown if not line.endswith(" UTC")]


def test_launched() -> None:
    links = {"console": "https://x", "logs": "https://y"}
    assert told(Launched("job-1", "aws.sagemaker.train", links=links)) == [
        "14:02:07 → job-1 created (aws.sagemaker.train)",
        "14:02:07 · console: https://x",
        "14:02:07 · logs: https://y",
    ]
    assert told(Launched("job-1", "a.b", adopted=True)) == [
        "14:02:07 → job-1 re-attached: it was there already (a.b)"
    ]


def test_only_news_of_the_status() -> None:
    starting = Status(Phase.RUNNING, "InProgress", "Starting", "Preparing")
    same_words = Status(Phase.RUNNING, "InProgress", "Starting", "Preparing", brief=True)
    assert told(starting, same_words, Status(Phase.RUNNING, "InProgress", "Training")) == [
        "14:02:07 ● InProgress / Starting: Preparing",
        "14:02:07 ● InProgress / Training",
    ]


def test_a_log_line_has_its_own_time_and_stands_unchanged() -> None:
    assert told(LogLine("  x = {1: '[bold]'}  ", time=T + 60)) == ["14:03:07 |   x = {1: '[bold]'}  "]
    assert told((5, LogLine("no time"))) == ["14:02:12 | no time"]


def test_streams_are_named_from_the_second_on() -> None:
    shown = told(
        Launched("job", "c"),
        LogLine("a", "job/algo-1"),
        LogLine("b", "job/algo-2"),
        LogLine("c", "job/algo-1"),
        LogLine("d", "job/algo-1", late=True),
        LogLine("e", "we|ird name"),
        LogLine("f"),
    )
    assert shown[1:] == [
        "14:02:07 | a",
        "14:02:07 |algo-2| b",
        "14:02:07 |algo-1| c",
        "14:02:07 |algo-1 (late)| d",
        r"14:02:07 |we\x7cird name| e",
        "14:02:07 | f",
    ]
    assert told(LogLine("x", late=True)) == ["14:02:07 |(late)| x"]


def test_the_job_cannot_forge_our_lines() -> None:
    text = "ok\n14:02:07 ← Succeeded in 1s\r14:02:07 ● Failed\x0b::error::x\x1b[2K\x1b[1A14:02:07 ← done"
    shown = told(LogLine(text))
    assert len(shown) == 3
    assert all(line.startswith("14:02:07 | ") for line in shown)
    assert told(Status(Phase.RUNNING, "x", "", "a\n14:02:07 ← Succeeded")) == [
        "14:02:07 ● x: a 14:02:07 ← Succeeded"
    ]


@given(
    st.text(st.characters()), st.text(st.characters()).filter(lambda stream: stream != "other"), st.booleans()
)
def test_what_is_ours_can_be_told_from_what_is_not(text: str, stream: str, late: bool) -> None:
    shown = told(LogLine("first", "other"), LogLine(text, stream, late=late))[1:]
    for line, original in zip(shown, lines(text), strict=True):
        parsed = re.fullmatch(r"14:02:07 \|(?:(?! )([^|(]*?) ?(\(late\))?\|)? (.*)", line)
        assert parsed, line
        assert bool(parsed[2]) == late
        assert parsed[3] == original


def test_a_stream_cannot_forge_lateness() -> None:
    shown = told(LogLine("x", "a"), LogLine("y", "(late)"), LogLine("z", "a (late)"))
    assert shown[1:] == [r"14:02:07 |\x28late)| y", r"14:02:07 |a \x28late)| z"]


@pytest.mark.parametrize(
    ("stream", "label"),
    [
        ("007", "007"),
        ("007 algo-2", "007 algo-2"),
        (" ", r"\x20"),
        (" a  b ", r"\x20a\x20\x20b\x20"),
        ("\u3000", r"\u3000"),
        ("a\tb|c", r"a\x09b\x7cc"),
    ],
)
def test_a_stream_names_itself_but_cannot_pass_for_none(stream: str, label: str) -> None:
    assert told(LogLine("", "other"), LogLine("x", stream))[1:] == [f"14:02:07 |{label}| x"]


def test_a_search_names_streams_from_the_first_line_on() -> None:
    shown = told(
        Trial("tune-007", Phase.RUNNING),
        LogLine("a", "007"),
        LogLine("b", "007"),
        Metric("m", 1, stream="007"),
    )
    assert shown[1:] == ["14:02:07 |007| a", "14:02:07 |007| b", "14:02:07 = m = 1 (007)"]


def test_a_job_among_others_is_named_where_no_text_can_be() -> None:
    line = Narrator().tell(LogLine("14:02:07 warm | x", "a"), T)[-1]
    assert prefix(line, job="cold ") == "14:02:07 cold  |"
    tail = Narrator().tell(Finished(Status(Phase.FAILED), 1), T)
    assert prefix(tail[-1], job="cold ") == "14:02:07 cold  ✗"
    assert prefix(Line(T, Kind.TAIL, "x"), job="cold ") == "         cold  |"
    assert prefix(Line(T, Kind.TAIL, "x")) == "         |"


@pytest.mark.parametrize(
    ("name", "one"),
    [("cold", "cold"), ("a b|c", r"a\x20b\x7cc"), ("a\n\x1b[2J", r"a\x20\x1b[2J"), ("\u2003", r"\u2003")],
)
def test_the_name_of_a_job_is_one_word(name: str, one: str) -> None:
    assert word(name) == one


def counted(*moments: tuple[float, str]) -> list[str]:
    return told(*[(at, Status(Phase.RUNNING, "InProgress", message=message)) for at, message in moments])


def test_counters_do_not_flood() -> None:
    assert counted(*[(second / 10, f"{second} completed") for second in range(101)]) == [
        "14:02:07 ● InProgress: 0 completed",
        "14:02:12 ● InProgress: 50 completed",
        "14:02:17 ● InProgress: 100 completed",
    ]
    assert counted((0, "a"), (1, "b"), (2, "a")) == ["14:02:07 ● InProgress: a"]
    assert len(counted((0, "a"), (-3600, "b"))) == 2


def test_the_last_count_is_always_told() -> None:
    one, two = (Status(Phase.RUNNING, "InProgress", message=f"{n} completed") for n in (1, 2))
    now = [f"14:02:07 ● InProgress: {n} completed" for n in (1, 2)]
    done = Status(Phase.SUCCEEDED, "Completed")
    assert told(one, two, done) == [*now, "14:02:07 ● Completed"]
    assert told(one, two, Finished(done, 1))[:2] == now
    assert told(one, two, (6, LogLine("x")))[1:] == ["14:02:13 ● InProgress: 2 completed", "14:02:13 | x"]
    narrator = Narrator()
    told(one, two, narrator=narrator)
    owed = [narrator.owes]
    assert narrator.due(T + 4.9) == []
    assert [line.text for line in narrator.due(T + 5)] == ["InProgress: 2 completed"]
    assert [*owed, narrator.owes] == [True, False]
    assert narrator.due(T + 60) == narrator.rest(T + 60) == []


def test_metrics_do_not_double_a_chatty_log() -> None:
    shown = told(
        (0, Metric("loss", 0.5)),
        (1, Metric("loss", 0.4)),
        (2, Metric("accuracy", 0.1)),
        (6, Metric("loss", 0.3)),
        (12, Metric("loss", 0.3)),
        (20, Metric("loss", 0.3000000001)),
    )
    assert shown == ["14:02:07 = loss = 0.5", "14:02:09 = accuracy = 0.1", "14:02:13 = loss = 0.3"]


def test_the_last_reading_is_told_at_the_end() -> None:
    done = Finished(Status(Phase.SUCCEEDED), 3)
    assert told(Metric("loss", 0.5), Metric("loss", 0.4), done)[:2] == [
        "14:02:07 = loss = 0.5",
        "14:02:07 = loss = 0.4",
    ]
    back_again = told(Metric("loss", 0.5), Metric("loss", 0.4), Metric("loss", 0.5), done)
    assert sum("loss" in line for line in back_again) == 1


@pytest.mark.parametrize("every", [5.0, None])
def test_a_search_tells_a_trials_reading_now_and_then_and_none_at_the_end(every: float | None) -> None:
    narrator, readings = Narrator(metrics_every=every), 0
    final = Metric("m0", 9, final=True)
    for t in range(300):
        trial = f"hpo-{t:03}-00000000"
        events: list[Event] = [Trial(trial, Phase.RUNNING)]
        events += [Metric(f"m{m}", t + k, 0, f"{t:03}") for k in range(3) for m in range(5)]
        events += [Trial(trial, Phase.SUCCEEDED, {}, 1.0)]
        shown = [line for event in events for line in narrator.tell(event, T + t * 10)]
        readings += sum(line.kind is Kind.METRIC for line in shown)
    end = narrator.tell(Finished(Status(Phase.SUCCEEDED, metrics=(final,)), 3000), T + 3000)
    assert [line.text for line in end if line.kind is Kind.METRIC] == ["m0 = 9 (final)"]
    assert readings == (5 * 3000 / 60 if every else 0)


def test_in_a_search_a_reading_names_its_trial_and_the_searchs_own_are_told_as_ever() -> None:
    shown = told(
        Trial("t-001-x", Phase.RUNNING),
        Metric("m", 1, stream="001"),
        Metric("m", 2, stream="002"),
        Metric("m", 3),
        (6, Metric("m", 4)),
    )
    assert shown[1:] == ["14:02:07 = m = 1 (001)", "14:02:07 = m = 3", "14:02:13 = m = 4"]


def test_a_long_parameter_is_clipped_so_that_the_next_is_seen() -> None:
    shown = told(Trial("t", Phase.RUNNING, {"doc": "v" * 2500, "eta": "0.1"}))
    assert shown == [f"14:02:07 ▸ t started: doc={'v' * 100}… (2,400 more characters), eta=0.1"]


def test_final_metrics_are_always_told_and_once() -> None:
    final = Metric("loss", 0.2, final=True)
    shown = told(
        Metric("loss", 0.3),
        Metric("loss", 0.25),
        final,
        Finished(Status(Phase.SUCCEEDED, metrics=(final,)), 3),
    )
    assert shown[:2] == ["14:02:07 = loss = 0.3", "14:02:07 = loss = 0.2 (final)"]
    assert len(shown) == 3


def test_metrics_of_many_streams_name_theirs() -> None:
    shown = told(LogLine("", "a"), LogLine("", "b"), Metric("m", 1, stream="a"), Metric("m", 2, stream="b"))
    assert shown[2:] == ["14:02:07 = m = 1 (a)", "14:02:07 = m = 2 (b)"]


def test_a_clock_set_back_silences_no_metric() -> None:
    assert len(told((0, Metric("m", 1)), (-3600, Metric("m", 2)))) == 2


def test_notices_and_summary() -> None:
    assert told(Notice("hi"), Notice("hm\nmore", Level.WARNING), Notice("oh", Level.ERROR)) == [
        "14:02:07 · hi",
        "14:02:07 ! hm more",
        "14:02:07 ✗ oh",
    ]
    assert told(LogSummary(1204, 3)) == ["14:02:07 · logs: 1,204 lines, 3 late"]
    assert told(LogSummary(1, complete=False)) == [
        "14:02:07 · logs: 1 line",
        "14:02:07 ! logs: incomplete, the service may have more lines",
    ]


def test_trials() -> None:
    running = Trial("t-1", Phase.RUNNING, {"eta": "0.1", "depth": "5"})
    shown = told(
        running,
        running,
        Trial("t-2", Phase.PENDING),
        Trial("t-1", Phase.SUCCEEDED, objective=0.9, best=True),
        Trial("t-1", Phase.SUCCEEDED, objective=0.9, best=False),
        Trial("t-2", Phase.FAILED),
        Trial("t-2", Phase.FAILED),
        Trial("t-1", Phase.SUCCEEDED, objective=0.9, best=True),
    )
    assert shown == [
        "14:02:07 ▸ t-1 started: eta=0.1, depth=5",
        "14:02:07 ▸ t-2 started",
        "14:02:07 ★ t-1 Succeeded: objective 0.9, the best so far",
        "14:02:07 ▸ t-2 Failed",
        "14:02:07 ★ t-1 Succeeded: objective 0.9, the best so far",
    ]


def test_who_was_the_best_before_is_told_again_only_if_it_leads_again() -> None:
    a, b = (
        Trial(name, Phase.SUCCEEDED, objective=value, best=True) for name, value in (("a", 1.0), ("b", 2.0))
    )
    shown = told(a, a, b, b, Trial("c", Phase.PENDING), Trial("c", Phase.STOPPED, {"eta": "1"}), a)
    assert shown == [
        "14:02:07 ★ a Succeeded: objective 1, the best so far",
        "14:02:07 ★ b Succeeded: objective 2, the best so far",
        "14:02:07 ▸ c started",
        "14:02:07 ▸ c Stopped; eta=1",
        "14:02:07 ★ a Succeeded: objective 1, the best so far",
    ]


def test_success_is_one_line() -> None:
    status = Status(Phase.SUCCEEDED, facts={"billed": "2m 40s", "artifact": "s3://b/k"})
    assert told(LogLine("x"), Finished(status, 192.4, 1204, 3))[1:] == [
        "14:02:07 ← Succeeded in 3m 12s; billed 2m 40s; artifact s3://b/k; 1,204 log lines, 3 late"
    ]


def test_failure_repeats_the_last_lines_and_says_why() -> None:
    status = Status(Phase.FAILED, "Failed", reason="Error:\nexit 1", hint="Look.")
    log = [LogLine(f"line {number}") for number in range(30)]
    shown = told(*log, Finished(status, 5, 30))[30:]
    assert shown[0] == "14:02:07 ✗ last 20 log lines:"
    assert shown[1:21] == [f"         | line {number}" for number in range(10, 30)]
    assert shown[21:] == [
        "14:02:07 ✗ Failed after 5s; 30 log lines",
        "14:02:07 · reason: Error: exit 1",
        "14:02:07 · hint: Look.",
    ]


def test_a_failure_without_a_log() -> None:
    assert told(Finished(Status(Phase.FAILED), 5)) == ["14:02:07 ✗ Failed after 5s; no log lines"]


def test_a_stopped_job_says_why_but_not_what_it_last_said() -> None:
    shown = told(LogLine("x"), Finished(Status(Phase.STOPPED, reason="by hand"), 5, 1))
    assert shown[1:] == ["14:02:07 ⊘ Stopped after 5s; 1 log line", "14:02:07 · reason: by hand"]


def test_a_new_day_is_announced_once() -> None:
    narrator = Narrator()
    days = [line.text for line in narrator.tell(Notice("a"), T)]
    days += [line.text for line in narrator.tell(Notice("b"), T + 5)]
    days += [line.text for line in narrator.tell(Notice("c"), T + 86_400)]
    assert days == ["2026-11-21 UTC", "a", "b", "2026-11-22 UTC", "c"]


@pytest.mark.parametrize("kind", Kind)
def test_glyphs_have_an_ascii_twin(kind: Kind) -> None:
    assert kind.value[1].isascii()
    assert len(kind.value[0]) == len(kind.value[1])
