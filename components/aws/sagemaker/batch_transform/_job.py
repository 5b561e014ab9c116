"""A batch transform whose refusal is explained."""

from __future__ import annotations

from components.aws.errors import AlreadyExists
from components.aws.sagemaker._job import SageMakerJob
from components.aws.sagemaker.batch_transform._limits import contradictions
from runner.errors import NameTaken, ServiceError, Transient
from runner.events import Launched


class TransformJob(SageMakerJob):
    """One batch transform."""

    async def launch(self) -> Launched:
        """Make one attempt to submit; a refusal names what contradicts each other in the request."""
        try:
            return await super().launch()
        except (Transient, NameTaken, AlreadyExists):
            raise
        except ServiceError as refusal:
            causes = contradictions(self._request) if self._request else []
            if not causes:
                raise
            raise type(refusal)(f"{refusal}; {'; '.join(causes)}") from refusal
