"""Live tail: an event stream of what is ingested, each second."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.emulator.helpers import GROUP, Aws, embedded

ARN = f"arn:aws:logs:us-east-1:123456789012:log-group:{GROUP}"


async def put(aws: Aws, stream: str, *texts: str) -> None:
    rows = [{"timestamp": int(time.time() * 1000), "message": text} for text in texts]
    await aws.logs.put_log_events(logGroupName=GROUP, logStreamName=stream, logEvents=rows)


async def updates(events: Any) -> AsyncIterator[dict[str, Any]]:
    async for event in events:
        if "sessionUpdate" in event:
            yield event["sessionUpdate"]


async def tailed(aws: Aws, *streams: str, **options: Any) -> Any:
    await aws.logs.create_log_group(logGroupName=GROUP)
    for name in streams:
        await aws.logs.create_log_stream(logGroupName=GROUP, logStreamName=name)
    answer = await aws.logs.start_live_tail(logGroupIdentifiers=[ARN], **options)
    return answer["responseStream"]


async def test_a_session_starts_and_tells_what_comes_after_it() -> None:
    async with embedded() as aws:
        events = await tailed(aws, "a/1", "b/1", logStreamNamePrefixes=["a/"])
        first = await anext(aiter(events))
        assert first["sessionStart"]["logGroupIdentifiers"] == [ARN]
        assert first["sessionStart"]["logStreamNamePrefixes"] == ["a/"]
        await put(aws, "a/1", "one", "two")
        await put(aws, "b/1", "other")
        update = await anext(updates(events))
        assert [row["message"] for row in update["sessionResults"]] == ["one", "two"]
        assert update["sessionResults"][0]["logStreamName"] == "a/1"
        assert update["sessionMetadata"] == {"sampled": False}
        quiet = await anext(updates(events))
        assert quiet["sessionResults"] == []
        events.close()


async def test_more_than_five_hundred_events_are_sampled() -> None:
    async with embedded() as aws:
        events = await tailed(aws, "s")
        await put(aws, "s", *[str(n) for n in range(1200)])
        update = await anext(updates(events))
        assert update["sessionMetadata"] == {"sampled": True}
        numbers = [int(row["message"]) for row in update["sessionResults"]]
        assert len(numbers) == 500
        assert numbers == sorted(numbers)
        events.close()


async def test_a_group_is_named_by_its_arn() -> None:
    async with embedded() as aws:
        for identifier, code in ((GROUP, "InvalidParameterException"), (ARN, "ResourceNotFoundException")):
            with pytest.raises(ClientError) as caught:
                await aws.logs.start_live_tail(logGroupIdentifiers=[identifier])
            assert caught.value.response["Error"]["Code"] == code
