"""For pipeline authors: what a step needs so that it is known again when it is started again.

The one module that imports kfp; it needs the extra `kfp`, and runs where a pipeline is compiled, never in a step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kfp import dsl, kubernetes

RUN_ID_LABEL = "metadata.labels['pipeline/runid']"
"""The pod label in which both back ends of Kubeflow Pipelines keep the run's id."""


def identified(task: dsl.PipelineTask) -> dsl.PipelineTask:
    """Tell a step which run and which step it is; return the task.

    With that, a restarted pod re-attaches to the remote job of its predecessor instead of paying for a second one, and
    everything that a run started can be found by its tag. The values go by way of the environment: as arguments they
    would make every run's step different, and defeat caching.
    """
    kubernetes.use_field_path_as_env(task, "KFP_RUN_ID", RUN_ID_LABEL)
    task.set_env_variable("KFP_STEP_NAME", task.name)
    return task


def stopping(stop: Callable[..., dsl.PipelineTask], **arguments: Any) -> dsl.PipelineTask:  # noqa: ANN401  the step's own
    """Make the exit task that stops what this run still has running; `stop`: the loaded component, as aws.sagemaker.stop.

        with dsl.ExitHandler(stopping(stop_op, region="eu-west-1")):
            identified(train_op(...))

    It finds jobs by the run's id, so every step inside needs `identified`. The back end replaces the id's placeholder only
    where it is a whole argument. Never from the cache: the id is the same in each attempt, what still runs is not.
    Kubeflow Pipelines runs an exit task after a run was terminated, too, from version 2.5 on.
    """
    task = stop(run_id=dsl.PIPELINE_JOB_ID_PLACEHOLDER, **arguments)
    task.set_caching_options(enable_caching=False)
    return task
