"""CloudWatch Logs: pages, tokens, late events, and how a job's output becomes events."""

from __future__ import annotations

import time
from typing import Any

import pytest
from botocore.exceptions import ClientError

from components.aws.embedded import Fault
from tests.emulator.helpers import GROUP, Aws, embedded, eventually

NOW = int(time.time() * 1000)


async def stream(aws: Aws, *streams: str) -> None:
    await aws.logs.create_log_group(logGroupName="g")
    for name in streams:
        await aws.logs.create_log_stream(logGroupName="g", logStreamName=name)


async def put(aws: Aws, name: str, *events: tuple[int, str]) -> dict[str, Any]:
    """Write events; times in milliseconds from now."""
    rows = [{"timestamp": NOW + offset, "message": text} for offset, text in events]
    answer = await aws.logs.put_log_events(logGroupName="g", logStreamName=name, logEvents=rows)
    return dict(answer)


async def get(aws: Aws, **options: Any) -> tuple[list[str], str, str]:
    """Messages of a page, forward token, backward token."""
    request = {"logGroupName": "g", "logStreamName": "s"} | options
    answer = await aws.logs.get_log_events(**request)
    return (
        [row["message"] for row in answer["events"]],
        answer["nextForwardToken"],
        answer["nextBackwardToken"],
    )


async def filtered(aws: Aws, **options: Any) -> list[str]:
    answer = await aws.logs.filter_log_events(logGroupName="g", **options)
    return [row["message"] for row in answer["events"]]


async def test_a_jobs_output_becomes_one_event_a_line() -> None:
    source = r"""
        out = sys.stdout.buffer
        out.write(b'plain\n\nwind\r\n10%\r20%\ncaf\xc3\xa9 \xff\n')
        out.flush()
        print('error', file=sys.stderr)
        out.write(b'no newline')
    """
    async with embedded(source) as aws:
        await aws.run("job-1")
        assert await aws.lines("job-1") == ["plain", "wind\r", "10%\r20%", "café �", "error", "no newline"]


async def test_a_line_longer_than_an_event_is_split_between_characters() -> None:
    async with embedded("print('é' * 200_000); print('x' * 300_000, end='')") as aws:
        await aws.run("job-1")
        lines = await aws.lines("job-1")
        assert [len(line.encode()) for line in lines] == [262_118, 137_882, 262_118, 37_882]
        assert "".join(lines[:2]) == "é" * 200_000


async def test_lines_are_readable_while_the_job_runs() -> None:
    async with embedded("print('first'); time.sleep(600)") as aws:
        await aws.create("job-1")
        await aws.printed("job-1", "first")
        assert (await aws.describe("job-1"))["SecondaryStatus"] == "Training"
        [event] = await aws.events("job-1")
        assert event["logStreamName"].startswith("job-1/algo-1-")
        assert event["timestamp"] <= event["ingestionTime"] <= time.time() * 1000


async def test_the_group_of_training_jobs_comes_with_the_first_job() -> None:
    async with embedded("print(1)") as aws:
        with pytest.raises(ClientError) as caught:
            await aws.events("job-1")
        assert caught.value.response["Error"] == {
            "Code": "ResourceNotFoundException",
            "Message": "The specified log group does not exist.",
        }
        await aws.run("job-1")
        assert await aws.lines("job-1") == ["1"]
        assert await aws.lines("job") == []


async def test_get_goes_forward_and_repeats_its_token_at_the_end() -> None:
    async with embedded() as aws:
        await stream(aws, "s")
        await put(aws, "s", *[(n, f"line {n}") for n in range(5)])
        first, token, _ = await get(aws, startFromHead=True, limit=3)
        second, token, _ = await get(aws, nextToken=token, limit=3)
        third, end, _ = await get(aws, nextToken=token)
        assert (first, second, third) == (["line 0", "line 1", "line 2"], ["line 3", "line 4"], [])
        assert end == token
        await put(aws, "s", (9, "line 9"))
        assert (await get(aws, nextToken=end))[0] == ["line 9"]


async def test_get_begins_with_the_latest_and_goes_backward() -> None:
    async with embedded() as aws:
        await stream(aws, "s")
        await put(aws, "s", *[(n, f"line {n}") for n in range(5)])
        latest, _, back = await get(aws, limit=2)
        before, _, back = await get(aws, nextToken=back, limit=2)
        rest, forward, back = await get(aws, nextToken=back, limit=2)
        none, _, end = await get(aws, nextToken=back, limit=2)
        pages = latest, before, rest, none
        assert pages == (["line 3", "line 4"], ["line 1", "line 2"], ["line 0"], [])
        assert end == back
        assert (await get(aws, nextToken=forward, limit=1))[0] == ["line 1"]


async def test_an_empty_streams_token_leads_to_its_first_event() -> None:
    async with embedded() as aws:
        await stream(aws, "s")
        nothing, token, _ = await get(aws, startFromHead=True)
        assert nothing == []
        await put(aws, "s", (0, "first"))
        assert (await get(aws, nextToken=token))[0] == ["first"]


async def test_a_token_survives_a_late_event() -> None:
    async with embedded() as aws:
        await stream(aws, "s")
        await put(aws, "s", (0, "a"), (10, "b"))
        _, token, _ = await get(aws, startFromHead=True)
        await put(aws, "s", (5, "late"))
        assert (await get(aws, nextToken=token))[0] == []
        await put(aws, "s", (20, "c"))
        assert (await get(aws, nextToken=token))[0] == ["c"]
        assert (await get(aws, startFromHead=True))[0] == ["a", "late", "b", "c"]
        assert await filtered(aws, startTime=NOW + 5) == ["late", "b", "c"]


async def test_times_bound_what_is_read() -> None:
    async with embedded() as aws:
        await stream(aws, "s")
        await put(aws, "s", (0, "a"), (10, "b"), (20, "c"))
        span = {"startTime": NOW + 10, "endTime": NOW + 20}
        # The end is exclusive for Get, inclusive for Filter, as AWS documents them.
        assert (await get(aws, startFromHead=True, **span))[0] == ["b"]
        assert await filtered(aws, **span) == ["b", "c"]


async def test_a_page_holds_at_most_a_megabyte() -> None:
    async with embedded() as aws:
        await stream(aws, "s")
        for number in range(3):
            await put(aws, "s", *[(number * 10 + n, str(number) * 100_000) for n in range(5)])
        first, token, _ = await get(aws, startFromHead=True)
        second, _, _ = await get(aws, nextToken=token)
        assert (len(first), len(second)) == (10, 5)
        answer = await aws.logs.filter_log_events(logGroupName="g")
        assert len(answer["events"]) == 10
        rest = await aws.logs.filter_log_events(logGroupName="g", nextToken=answer["nextToken"])
        assert len(rest["events"]) == 5
        assert "nextToken" not in rest


async def test_filter_joins_streams_in_order_of_time() -> None:
    async with embedded() as aws:
        await stream(aws, "a/1", "a/2", "b/1")
        await put(aws, "a/1", (0, "one"), (20, "three"))
        await put(aws, "a/2", (10, "two"))
        await put(aws, "b/1", (5, "other"))
        assert await filtered(aws, logStreamNamePrefix="a/") == ["one", "two", "three"]
        assert await filtered(aws, logStreamNames=["a/2", "b/1"]) == ["other", "two"]
        assert await filtered(aws) == ["one", "other", "two", "three"]


async def test_filters_pages_neither_lose_nor_repeat_and_ids_are_unique() -> None:
    async with embedded() as aws:
        await stream(aws, "a", "b")
        for name in ("a", "b"):
            await put(aws, name, *[(n // 3, f"{name}{n}") for n in range(10)])
        seen: list[str] = []
        token: dict[str, str] = {}
        while True:
            answer = await aws.logs.filter_log_events(logGroupName="g", limit=3, **token)
            seen += [row["eventId"] for row in answer["events"]]
            if "nextToken" not in answer:
                break
            token = {"nextToken": answer["nextToken"]}
        assert len(seen) == len(set(seen)) == 20
        assert all(len(identifier) == 56 and identifier.isdecimal() for identifier in seen)


async def test_a_filter_pattern_of_plain_terms_selects() -> None:
    async with embedded() as aws:
        await stream(aws, "s")
        await put(aws, "s", (0, "ERROR disk full"), (1, "ERROR net"), (2, "info disk"))
        for pattern, found in {
            "ERROR disk": ["ERROR disk full"],
            "ERROR -disk": ["ERROR net"],
            '?"disk full" ?info': ["ERROR disk full", "info disk"],
            "error": [],
            "": ["ERROR disk full", "ERROR net", "info disk"],
        }.items():
            assert await filtered(aws, filterPattern=pattern) == found, pattern
        for pattern in ("{ $.a = 1 }", "[a, b]", "%a.b%"):
            with pytest.raises(ClientError, match="not implemented by the embedded cloud"):
                await filtered(aws, filterPattern=pattern)


async def test_late_events_become_readable_later_with_their_own_time() -> None:
    async with embedded("print('slow')", faults=True) as aws:
        aws.cloud.faults.add(Fault("PutLogEvents", "late", seconds=0.4))
        await aws.run("job-1")
        assert await aws.lines("job-1") == []
        await aws.printed("job-1", "slow")
        [event] = await aws.events("job-1")
        assert event["ingestionTime"] - event["timestamp"] >= 400


async def test_shuffled_events_overtake_each_other_and_none_is_lost() -> None:
    async with embedded(faults=True) as aws:
        await stream(aws, "s")
        aws.cloud.faults.add(Fault("PutLogEvents", "shuffle", times=None, seconds=0.3))
        await put(aws, "s", *[(n, str(n)) for n in range(20)])
        arrivals: list[str] = []

        async def all_there() -> bool:
            found = await filtered(aws)
            arrivals.extend(text for text in found if text not in arrivals)
            return len(found) == 20

        assert await eventually(all_there)
        assert await filtered(aws) == [str(n) for n in range(20)]
        assert arrivals != [str(n) for n in range(20)]


async def test_an_empty_page_is_not_the_end() -> None:
    async with embedded(faults=True) as aws:
        await stream(aws, "s")
        await put(aws, "s", (0, "a"))
        aws.cloud.faults.add(Fault("FilterLogEvents", "empty_page", times=2))
        empty = await aws.logs.filter_log_events(logGroupName="g")
        assert empty["events"] == []
        again = await aws.logs.filter_log_events(logGroupName="g", nextToken=empty["nextToken"])
        full = await aws.logs.filter_log_events(logGroupName="g", nextToken=again["nextToken"])
        assert [row["message"] for row in full["events"]] == ["a"]


async def test_streams_are_described_fifty_at_a_time() -> None:
    async with embedded() as aws:
        await stream(aws, *[f"s/{n:02}" for n in range(60)], "t")
        await put(aws, "s/07", (5, "x"), (9, "y"))
        first = await aws.logs.describe_log_streams(logGroupName="g", logStreamNamePrefix="s/")
        token = first["nextToken"]
        rest = await aws.logs.describe_log_streams(
            logGroupName="g", logStreamNamePrefix="s/", nextToken=token
        )
        assert (len(first["logStreams"]), len(rest["logStreams"])) == (50, 10)
        assert "nextToken" not in rest
        row = first["logStreams"][7]
        assert (row["firstEventTimestamp"], row["lastEventTimestamp"]) == (NOW + 5, NOW + 9)
        latest = await aws.logs.describe_log_streams(
            logGroupName="g", orderBy="LastEventTime", descending=True
        )
        assert latest["logStreams"][0]["logStreamName"] == "s/07"


async def test_groups_are_described() -> None:
    async with embedded() as aws:
        await stream(aws)
        answer = await aws.logs.describe_log_groups(logGroupNamePrefix="g")
        [row] = answer["logGroups"]
        assert row["arn"] == "arn:aws:logs:us-east-1:123456789012:log-group:g:*"
        assert (await aws.logs.describe_log_groups(logGroupNamePrefix=GROUP))["logGroups"] == []


DAY = 24 * 3600 * 1000


async def test_events_too_old_or_too_new_are_told_and_dropped() -> None:
    async with embedded() as aws:
        await stream(aws, "s")
        assert (await put(aws, "s", (-20 * DAY, "old")))["rejectedLogEventsInfo"] == {
            "tooOldLogEventEndIndex": 1
        }
        answer = await put(aws, "s", (0, "good"), (3 * 3600 * 1000, "new"))
        assert answer["rejectedLogEventsInfo"] == {"tooNewLogEventStartIndex": 1}
        assert await filtered(aws) == ["good"]


REFUSALS = [
    (
        "put_log_events",
        {"logStreamName": "none", "logEvents": [{"timestamp": NOW, "message": "x"}]},
        "log stream does",
    ),
    ("get_log_events", {"logStreamName": "none"}, "The specified log stream does not exist."),
    ("get_log_events", {"logStreamName": "s", "nextToken": "x"}, "The specified nextToken is invalid."),
    ("filter_log_events", {"logStreamNames": ["none"]}, "The specified log stream does not exist."),
    (
        "filter_log_events",
        {"logStreamNames": ["s"], "logStreamNamePrefix": "s"},
        "Only one of logStreamNames",
    ),
    ("filter_log_events", {"limit": 0}, "1 validation error detected: Value '0' at 'limit'"),
    ("filter_log_events", {"logGroupName": "none"}, "The specified log group does not exist."),
    (
        "describe_log_streams",
        {"orderBy": "LastEventTime", "logStreamNamePrefix": "s"},
        "Cannot order by LastEventTime",
    ),
    ("create_log_group", {}, "The specified log group already exists"),
    ("create_log_stream", {"logStreamName": "s"}, "The specified log stream already exists"),
]


@pytest.mark.parametrize(("operation", "arguments", "text"), REFUSALS)
async def test_refusals_are_awss(operation: str, arguments: dict[str, Any], text: str) -> None:
    async with embedded() as aws:
        await stream(aws, "s")
        with pytest.raises(ClientError, match=text):
            await getattr(aws.logs, operation)(**({"logGroupName": "g"} | arguments))


@pytest.mark.parametrize(
    ("events", "text"),
    [
        ([(5, "b"), (0, "a")], "must be in chronological order"),
        ([(0, "x" * 262_144)], "Log event too large"),
        # The client, too, finds such a request too big.
        pytest.param(
            [(0, "x" * 200_000)] * 6, "Upload too large", marks=pytest.mark.filterwarnings("ignore:Sending")
        ),
        ([(-2 * DAY, "a"), (0, "b")], "cannot span more than 24 hours"),
    ],
)
async def test_a_batch_has_awss_limits(events: list[tuple[int, str]], text: str) -> None:
    async with embedded() as aws:
        await stream(aws, "s")
        with pytest.raises(ClientError, match=text):
            await put(aws, "s", *events)
        assert await filtered(aws) == []
