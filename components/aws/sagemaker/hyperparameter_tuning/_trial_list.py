"""Lists the trials of a tuning job, page by page, and no more of them than there may be news of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from components.aws.errors import Denied, Unsupported
from components.aws.sagemaker.hyperparameter_tuning._trials import Book, Summary
from components.aws.session import Aws
from runner.errors import NotFound, ServiceError, Throttled, Transient
from runner.events import Level, Notice
from runner.limits import SHARED

LIST_RATE, LIST_BURST = 1.0, 5.0
"""Lists of trials per second of one process."""
CLOSING_SECONDS = 240.0
"""How long a list that fails is asked for again after the end: less than a feed is given to drain."""
PAGE = 100
"""Trials per page, the most that SageMaker gives."""
_LIST = "list_training_jobs_for_hyper_parameter_tuning_job"


class TrialLister:
    """Lists a tuning job's training jobs, newest first; goes on where a failure broke it off."""

    def __init__(self, aws: Aws, tuning_job: str) -> None:
        self._aws = aws
        self._request = {
            "HyperParameterTuningJobName": tuning_job,
            "SortBy": "CreationTime",
            "SortOrder": "Descending",
            "MaxResults": PAGE,
        }
        self._bucket = SHARED.bucket(*aws.scope, _LIST, rate=LIST_RATE, burst=LIST_BURST)
        self._found: dict[str, Summary] = {}
        self._token = ""
        self._all_seen = False
        self._notices: list[Notice] = []
        self.troubles = 0
        """Failed tries since the last that worked."""

    async def read(self, book: Book, *, whole: bool) -> Sequence[Summary]:
        """Return the trials of which there may be news; none where the service failed.

        `whole`: all of them, though the ends of the older ones were told.
        """
        try:
            while True:
                page = await self._page()
                listed = page.get("TrainingJobSummaries", ())
                self._found |= {s["TrainingJobName"]: s for s in listed}
                self._token = page.get("NextToken", "")
                # Newest first: behind one that is known are only those that are.
                known = self._all_seen and listed and book.knows(listed[-1]["TrainingJobName"])
                if not self._token or (known and not whole and book.running <= set(self._found)):
                    break
        except Transient as error:
            self.troubles += 1
            if self.troubles == 1:
                self._notices.append(
                    Notice(f"could not list the trials, trying again: {error}", Level.WARNING)
                )
            return ()
        if self.troubles:
            self._notices.append(
                Notice(f"listing the trials works again (after {self.troubles} failed tries)")
            )
        self._all_seen, self.troubles, self._token = True, 0, ""
        found, self._found = list(self._found.values()), {}
        return found

    async def _page(self) -> Mapping[str, Any]:
        await self._bucket.take()
        token = {"NextToken": self._token} if self._token else {}
        try:
            return await self._aws.call("sagemaker", _LIST, **self._request, **token)
        except Throttled:
            self._bucket.throttled()
            raise
        except NotFound:
            return {}  # Made a moment ago, it can't be seen yet; that it is gone is the status's to tell.
        except (Transient, Denied, Unsupported):
            raise
        except ServiceError as error:
            if not self._token:
                raise
            self._token = ""  # It may have grown old meanwhile: from the start again.
            raise Transient(str(error)) from error

    def notices(self, since_end: float) -> list[Notice]:
        """Return what is to be said of the listing since it was last asked."""
        said, self._notices = self._notices, []
        if self.troubles and since_end >= CLOSING_SECONDS:
            said.append(
                Notice("the list of trials is incomplete: the service went on failing", Level.WARNING)
            )
        return said
