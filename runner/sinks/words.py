"""How times, durations, numbers and a job's state are said, alike in every sink."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from runner.events import Phase, Status, Trial
from runner.sinks.text import clipped, one_line

PART = 100
"""Characters of a parameter's name, or value, among others of its trial."""


def utc(time: float) -> datetime | None:
    """Seconds since the epoch as a moment; None if there is no such moment."""
    try:
        return datetime.fromtimestamp(time, UTC)
    except (OverflowError, ValueError, OSError):
        return None


def clock(time: float) -> str:
    """`14:02:07`, UTC."""
    moment = utc(time)
    return f"{moment:%H:%M:%S}" if moment else "--:--:--"


def day(time: float) -> str:
    """`2026-11-21`, UTC; empty if there is no such day."""
    moment = utc(time)
    return f"{moment:%Y-%m-%d}" if moment else ""


def iso(time: float) -> str | None:
    """`2026-11-21T14:02:07.120Z`; None if there is no such moment."""
    moment = utc(time)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z") if moment else None


def duration(seconds: float) -> str:
    """Seconds as a person says them: `0.4s`, `3m 12s`, `1h 02m 05s`, `2d 03h 04m`."""
    if not math.isfinite(seconds) or seconds < 0:
        seconds = 0
    if seconds < 10 and seconds != int(seconds):  # below this a tenth of a second is news
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days}d {hours:02}h {minutes:02}m"
    if hours:
        return f"{hours}h {minutes:02}m {rest:02}s"
    return f"{minutes}m {rest:02}s" if minutes else f"{rest}s"


def number(value: float) -> str:
    """Six significant digits, no more than needed."""
    return f"{value:.6g}"


def count(many: int, noun: str) -> str:
    """`1,204 lines`, `1 line`, `no lines`."""
    return f"{many:,} {noun}{'' if many == 1 else 's'}" if many else f"no {noun}s"


def logs(lines: int, late: int) -> str:
    """`1,204 log lines, 3 late`."""
    return count(lines, "log line") + (f", {late:,} late" if late else "")


def place(status: Status) -> str:
    """`InProgress / Training`, each part where there is one."""
    return " / ".join(one_line(part) for part in (status.state or status.phase, status.stage) if part)


def state(status: Status) -> str:
    """`InProgress / Training: the service's sentence`, each part where there is one."""
    return f"{place(status)}: {one_line(status.message)}" if status.message else place(status)


def outcome(status: Status, seconds: float) -> str:
    """`Succeeded in 3m 12s`, `Failed after 3m 12s`."""
    return f"{status.phase} {'in' if status.phase is Phase.SUCCEEDED else 'after'} {duration(seconds)}"


def parameters(trial: Trial) -> str:
    """`depth=5, eta=0.1`, each part clipped: a value may be a whole document, and a trial have dozens."""
    return ", ".join(f"{_brief(name)}={_brief(value)}" for name, value in trial.parameters.items())


def _brief(text: str) -> str:
    return one_line(clipped(text, PART))
