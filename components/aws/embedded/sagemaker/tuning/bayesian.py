"""Bayesian optimisation: a Gaussian process of what was seen, and the point that promises the greatest improvement.

scikit-learn fits the process; `docs/decisions/0004-bayesian-search.md` says why the rest is ours. Candidates are points of
the space itself, so integers, choices and scales need no special care: no value is proposed that can't be tried.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence
from typing import Any

from components.aws.embedded.sagemaker.tuning.search_space import Space, Values
from components.aws.embedded.sagemaker.tuning.strategies import Seen, standardized

MOST_RANDOM_FIRST = 10
"""The model needs something to begin with: two points, and one for each axis, but no more than this."""
_ANYWHERE = 400
"""Candidates drawn from the whole space."""
_NEARBY = 40
"""Candidates around each of the _LEADERS best points, for each of the _STEPS."""
_LEADERS = 3
_STEPS = (0.2, 0.05, 0.01)
"""Standard deviations, as parts of a scale."""
_EXPLORATION = 0.01
"""How much better than the best, in standard deviations, a point has to promise to be."""
_STARTS = 3
"""From how many places the kernel's parameters are sought."""
_JITTER = 1e-8
_MOST_NUMBERS = 10_000_000
"""Of the gradient by the axes' lengths, points × points × axes, which is held several times over."""
_one_at_a_time = threading.Lock()


class Bayesian:
    """Expected improvement over a Gaussian process.

    Trials under way count as if they had come out as the process expects ("kriging believer"): nothing is left to gain
    near them, so others are not sent to the same place. Failed ones count as the worst so far.
    """

    def __init__(self, space: Space, seed: int | None) -> None:
        self._space = space
        self._random = random.Random(seed)
        self._first = min(2 + space.axes, MOST_RANDOM_FIRST)

    def suggest(self, seen: Sequence[Seen]) -> dict[str, str]:
        """The next combination."""
        known = [row.values for row in seen]
        points = [(row, point) for row in seen if (point := self._space.point(row.values)) is not None]
        scores = standardized([row for row, _ in points])
        told = [score for score in scores if score is not None]
        if not self._space.axes or len(told) < self._first:
            return self._space.fresh(self._random, known)
        pending = [point for row, point in points if row.pending]
        ended = [point for row, point in points if not row.pending]
        values = [
            min(told) if score is None else score
            for (row, _), score in zip(points, scores, strict=True)
            if not row.pending
        ]
        best = [row.values for row in sorted(seen, key=_rank)[:_LEADERS]]
        candidates = [point for point in self._candidates(best) if point not in known]
        if not candidates:
            return self._space.fresh(self._random, known)
        promises = _promises(
            ended, values, pending, [self._space.point(each) or [] for each in candidates], self._random
        )
        return candidates[max(range(len(candidates)), key=lambda number: promises[number])]

    def _candidates(self, best: Sequence[Values]) -> list[dict[str, str]]:
        """Points to choose from."""
        anywhere = [self._space.sample(self._random) for _ in range(_ANYWHERE)]
        return anywhere + [
            self._space.near(values, step, self._random)
            for values in best
            for step in _STEPS
            for _ in range(_NEARBY)
        ]


def _rank(row: Seen) -> float:
    return float("inf") if row.score is None else -row.score


Points = Sequence[Sequence[float]]


def _promises(
    ended: Points, values: Sequence[float], pending: Points, candidates: Points, source: random.Random
) -> list[float]:
    """The expected improvement at each candidate."""
    import numpy as np  # with the rest a second, which only this strategy pays for
    from scipy.special import ndtr
    from sklearn.gaussian_process import GaussianProcessRegressor
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # comes with scikit-learn

    # The matrices are small, and jobs want the processors: several threads would only wait for each other. The limit
    # is the process's, so whoever sets it has to be alone.
    with _one_at_a_time, threadpool_limits(1):
        kernel = _fitted(np.array(ended), np.array(values), source)
        process = GaussianProcessRegressor(kernel, alpha=_JITTER, optimizer=None)
        process.fit(np.array(ended), np.array(values))
        if pending:
            believed = process.predict(np.array(pending))
            process.fit(np.array([*ended, *pending]), np.array([*values, *believed]))
        mean, deviation = process.predict(np.array(candidates), return_std=True)
    deviation = np.maximum(deviation, 1e-9)
    gain = mean - max(values) - _EXPLORATION
    z = gain / deviation
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    return [float(promise) for promise in gain * ndtr(z) + deviation * density]


def _fitted(points: Any, values: Any, source: random.Random) -> Any:
    """The kernel under which what was seen is most likely, each axis with a length of its own while they are few."""
    # Not by GaussianProcessRegressor itself: it warns of every bound that it meets, which short series always do.
    from scipy.optimize import minimize
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    count, axes = points.shape
    lengths = [0.5] * axes if count**2 * axes <= _MOST_NUMBERS else 0.5
    kernel = ConstantKernel(1.0, (0.1, 20.0)) * Matern(lengths, (0.08, 5.0), nu=2.5) + WhiteKernel(
        1e-4, (1e-6, 0.5)
    )
    process = GaussianProcessRegressor(kernel, alpha=_JITTER, optimizer=None).fit(points, values)

    def unlikelihood(theta: Any) -> tuple[float, Any]:
        value, gradient = process.log_marginal_likelihood(theta, eval_gradient=True)
        return -value, -gradient

    starts = [kernel.theta] + [
        [source.uniform(low, high) for low, high in kernel.bounds] for _ in range(_STARTS - 1)
    ]
    results = [
        minimize(unlikelihood, start, jac=True, method="L-BFGS-B", bounds=kernel.bounds) for start in starts
    ]
    best = min(results, key=lambda result: float(result.fun))
    return kernel.clone_with_theta(best.x)
