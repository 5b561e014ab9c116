"""kfp-runner: a remote managed job as a lexical scope.

    async with launched(job, sinks) as run:
        status = await run.finished()
    outputs = await job.outputs()

However the block is left, no remote job is left running. Import what you need from the modules: `runner.supervise`
(the scope), `runner.job` (what a job has to offer), `runner.events` (what it tells), `runner.testing` (doubles).
"""

__version__ = "0.1.0"
