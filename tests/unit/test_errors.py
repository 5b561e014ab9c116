"""Contract "Exit codes", and what an error tells the engine."""

from __future__ import annotations

import signal

import pytest

from runner import errors


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.JobFailed, 1),
        (errors.TimeLimitReached, 1),
        (errors.InputError, 2),
        (errors.ServiceError, 3),
        (errors.Transient, 3),
        (errors.Throttled, 3),
        (errors.Unreachable, 3),
        (errors.NotFound, 3),
        (errors.NameTaken, 3),
        (errors.StopFailed, 3),
    ],
)
def test_exit_codes(error: type[errors.RunnerError], code: int) -> None:
    assert error("text").exit_code == code
    assert str(error("text")) == "text"


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)]
)
def test_exit_code_of_a_signal(number: signal.Signals, code: int) -> None:
    assert errors.Interrupted(number).exit_code == code
    assert number.name in str(errors.Interrupted(number))
    assert str(errors.Interrupted(number, "said so")) == "said so"


def test_whether_a_failed_call_may_have_been_carried_out() -> None:
    assert errors.Transient("x").ambiguous
    assert not errors.Throttled("x").ambiguous
    assert not errors.Unreachable("x").ambiguous


def test_the_tree_is_drawn_as_it_is() -> None:
    """Each class stands in the module's drawing, beneath its parent, with its exit code."""
    drawn, path = {}, []
    for line in (errors.__doc__ or "").splitlines():
        before, _, rest = line.partition("── ")
        words = rest.split()
        if words:
            depth = len(before) // 4
            path[depth:] = [words[0]]
            drawn[words[0]] = (path[depth - 1] if depth > 1 else "RunnerError", words[1])
    classes = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, errors.RunnerError)]
    assert set(drawn) == {c.__name__ for c in classes} - {"RunnerError"}
    for each in classes:
        if each is not errors.RunnerError:
            code = "128+n" if each is errors.Interrupted else str(each.exit_code)
            assert (each.__name__, drawn[each.__name__][1]) == (each.__name__, code)


def test_a_phase_is_final_once_it_can_not_change() -> None:
    from runner.events import Phase

    assert {phase for phase in Phase if phase.final} == {Phase.SUCCEEDED, Phase.FAILED, Phase.STOPPED}
