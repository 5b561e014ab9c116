"""Which trials ended, in which order, and who was the best when."""

from __future__ import annotations

from runner.events import Metric, Phase, Trial
from runner.sinks.search import Leader, Search


def search(*told: Trial) -> Search:
    known = Search()
    for trial in told:
        known.take(trial)
    return known


def done(name: str, objective: float | None = 0.5, *, best: bool = False) -> Trial:
    return Trial(name, Phase.SUCCEEDED, {}, objective, best)


def test_trials_are_kept_in_the_order_in_which_they_ended() -> None:
    known = search(Trial("a", Phase.RUNNING), Trial("b", Phase.RUNNING), done("b"), done("a"), done("b", 0.7))
    assert list(known.trials) == ["a", "b"]
    assert [(trial.name, trial.objective) for trial in known.ended] == [("b", 0.7), ("a", 0.5)]


def test_the_latest_that_was_called_the_best_is_the_best() -> None:
    a, b, d = done("a", 1, best=True), done("b", 2, best=True), done("d", 3, best=True)
    known = search(a, b, done("c"), d)
    assert known.best is d
    assert known.leaders == [Leader(1, a), Leader(2, b), Leader(4, d)]
    assert search(a, b, a).best is a


def test_the_best_told_again_leads_once() -> None:
    a = done("a", 1, best=True)
    assert search(a, done("b"), a).leaders == [Leader(1, a)]


def test_a_flag_may_be_taken_back() -> None:
    known = search(done("a", 1, best=True), done("a", 1))
    assert known.best is None
    assert known.leading() == ""


def test_a_copy_stays_as_it_was() -> None:
    search = Search()
    search.take(Trial("a", Phase.SUCCEEDED, {}, 1.0, best=True))
    before = search.copy()
    search.take(Trial("b", Phase.SUCCEEDED, {}, 2.0, best=True))
    assert (before.counts(), before.leading(), len(before.leaders)) == ("1 ended", "1 (a)", 1)


def test_a_reading_with_a_stream_is_a_trials_once_there_are_trials() -> None:
    search = Search()
    assert not search.of_a_trial(Metric("m", 1, stream="001"))
    search.take(Trial("t-001-x", Phase.RUNNING))
    assert search.of_a_trial(Metric("m", 1, stream="001 algo-2"))
    assert not search.of_a_trial(Metric("m", 1))
    assert not search.of_a_trial(Metric("m", 1, stream="001", final=True))


def test_in_words() -> None:
    known = search(
        Trial("a", Phase.RUNNING),
        done("b\n", 0.91, best=True),
        Trial("c", Phase.FAILED),
        Trial("d", Phase.STOPPED, {}, 0.2),
        Trial("e", Phase.PENDING),
    )
    assert known.counts() == "3 ended, 2 of them without success, 2 in progress"
    assert known.leading() == "0.91 (b)"
    assert search(done("x", None, best=True)).leading() == "x"
    assert Search().counts() == "0 ended"
