"""kfp-runner: a remote managed job as a lexical scope.

    async with launched(job, sinks) as run:
        status = await run.finished()
    outputs = await job.outputs()

However the block is left, no remote job is left running. A component is run by `runner.run`, several side by side in a
`runner.Batch`. Import what else you need from the modules: `runner.supervise` (the scope), `runner.job` (what a job has to
offer), `runner.events` (what it tells), `runner.testing` (doubles).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runner.batch import Batch, run

__all__ = ["Batch", "__version__", "run"]

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """Load what is asked for only then: whoever starts a command waits for no more than it needs."""
    if name in {"Batch", "run"}:
        from runner import batch

        return getattr(batch, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
