"""The embedded cloud's process: it is read, and its death is noticed."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

import pytest

from runner.embedded import MARK, EmbeddedOptions, embedded, inside, module, providers, require
from runner.errors import InputError, ServiceError

READY = 'import json, sys; print(json.dumps({"url": "http://x", "environment": {}}), flush=True)'


@pytest.fixture
def stands_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def put(body: str) -> None:
        script = tmp_path / "cloud"
        script.write_text(f"#!{sys.executable}\n{body}\n")
        script.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(script))

    return put


async def test_all_that_it_says_is_read(stands_for, tmp_path: Path) -> None:
    done = tmp_path / "done"
    stands_for(
        f"{READY}\n"
        "for stream in (sys.stdout, sys.stderr): stream.write('w' * 10**6); stream.flush()\n"
        f"open({str(done)!r}, 'w').close(); sys.stdin.read()"
    )
    async with embedded("aws"), asyncio.timeout(10):
        while not done.exists():  # noqa: ASYNC110  another process makes it
            await asyncio.sleep(0.01)


async def test_its_death_ends_the_block_at_once(stands_for, capsys: pytest.CaptureFixture[str]) -> None:
    stands_for(f"{READY}\nprint('one', 'two', sep='\\n', file=sys.stderr); sys.exit(7)")
    began, told = (
        time.monotonic(),
        "the embedded cloud 'aws' died (exit code 7), and its jobs with it: one | two",
    )
    with pytest.raises(ServiceError) as caught:
        async with embedded("aws"):
            await asyncio.sleep(60)
    assert str(caught.value) == told
    assert capsys.readouterr().err == told + "\n"
    assert time.monotonic() - began < 10
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()


async def test_what_it_said_when_it_did_not_start_is_told(stands_for) -> None:
    stands_for("import sys; sys.exit('no room')")
    with pytest.raises(ServiceError, match="did not start: no room"):
        async with embedded("aws"):
            pass


async def test_a_cancellation_of_ours_stays_one(stands_for) -> None:
    stands_for(f"{READY}\nsys.stdin.read()")

    async def use() -> None:
        async with embedded("aws"):
            task.cancel()
            await asyncio.sleep(60)

    task = asyncio.create_task(use())
    await asyncio.wait({task})
    assert task.cancelled()


def test_there_are_embedded_clouds_and_any_other_is_refused() -> None:
    assert providers() == ["aws", "hydrosphere"]
    with pytest.raises(InputError, match="no embedded cloud 'azure'; there are: aws, hydrosphere"):
        module("azure")


def test_an_option_that_a_cloud_lacks_is_refused_before_anything_starts(tmp_path: Path) -> None:
    require("aws", EmbeddedOptions({"a": "b"}, tmp_path))
    with pytest.raises(InputError) as caught:
        require("hydrosphere", EmbeddedOptions({"a": "b"}, tmp_path))
    assert str(caught.value) == (
        "the embedded cloud 'hydrosphere' has no --local-folder, --local-image; leave it out"
    )


async def test_one_within_the_other_leads_to_both(stands_for, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(MARK, raising=False)
    stands_for(f"{READY}\nsys.stdin.read()")
    assert not inside("aws")
    async with embedded("aws"):
        async with embedded("hydrosphere"):
            assert inside("aws")
            assert inside("hydrosphere")
        assert inside("aws")
        assert not inside("hydrosphere")
    assert not inside("aws")
