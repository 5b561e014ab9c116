"""SageMaker's API for workteams: create, describe, list, update, delete.

A workteam is a name here: there are no workers behind it, and nobody is asked whether its user pool exists. Labeling
jobs take their answers from a file (see `answers`). The team `kfp-runner-samples` is there from the beginning,
in every region.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from components.aws.embedded.clock import now
from components.aws.embedded.cloud import ACCOUNT
from components.aws.embedded.errors import ApiError, invalid
from components.aws.embedded.sagemaker.books import Books
from components.aws.embedded.sagemaker.tags import of_request

Json = dict[str, Any]
SAMPLE = "kfp-runner-samples"
PUBLIC_ACCOUNT = "394669845002"
"""AWS's own, which the public workforce belongs to."""
_SAMPLE_REQUEST: Json = {
    "WorkteamName": SAMPLE,
    "Description": "Nobody: the embedded cloud has no workers, a labeling job's answers come from a file.",
    "MemberDefinitions": [
        {
            "CognitoMemberDefinition": {
                "UserPool": "embedded_samples",
                "UserGroup": "nobody",
                "ClientId": "embedded",
            }
        }
    ],
}
_CHANGEABLE = (
    "MemberDefinitions",
    "Description",
    "NotificationConfiguration",
    "WorkerAccessConfiguration",
)


@dataclass(slots=True)
class Workteam:
    """A team; `request` is valid. Times are seconds since the Unix epoch."""

    region: str
    request: Json
    tags: dict[str, str]
    created: float = field(default_factory=now)
    modified: float = 0.0

    def __post_init__(self) -> None:
        self.modified = self.created

    @property
    def name(self) -> str:
        """WorkteamName."""
        return str(self.request["WorkteamName"])

    @property
    def arn(self) -> str:
        """Its ARN, which keeps the name's upper case."""
        return f"arn:aws:sagemaker:{self.region}:{ACCOUNT}:workteam/private-crowd/{self.name}"

    @property
    def status(self) -> str:
        """It has none."""
        return ""

    def change(self, request: Json) -> None:
        """Take over what UpdateWorkteam may change."""
        given = {name: request[name] for name in _CHANGEABLE if request.get(name) is not None}
        self.request = self.request | given
        self.modified = now()

    def summary(self) -> Json:
        """As in List."""
        return self.description()

    def description(self) -> Json:
        """As in Describe."""
        workforce = self.request.get("WorkforceName", "default")
        account = f"arn:aws:sagemaker:{self.region}:{ACCOUNT}"
        shown = {name: self.request[name] for name in ("WorkteamName", *_CHANGEABLE) if name in self.request}
        return shown | {
            "WorkteamArn": self.arn,
            "WorkforceArn": f"{account}:workforce/private-crowd/{workforce}",
            # The portal belongs to the workforce, so all of its teams share one.
            "SubDomain": f"{_letters(f'{account}/{workforce}')}.labeling.{self.region}.sagemaker.aws",
            "CreateDate": self.created,
            "LastUpdatedDate": self.modified,
        }


def _letters(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:10]


class Workteams:
    """Workteams: their books, and the operations on them."""

    def __init__(self) -> None:
        self.books: Books[Workteam] = Books(_taken)
        self._seeded: set[str] = set()
        self.operations: Mapping[str, Callable[[Json, str], Awaitable[Json]]] = {
            "CreateWorkteam": self._create,
            "DescribeWorkteam": self._describe,
            "ListWorkteams": self._list,
            "UpdateWorkteam": self._update,
            "DeleteWorkteam": self._delete,
        }

    def known(self, arn: str, region: str) -> bool:
        """Whether there is such a team in the region; AWS's public one is everywhere."""
        self._seed(region)
        public = f"arn:aws:sagemaker:{region}:{PUBLIC_ACCOUNT}:workteam/public-crowd/default"
        return arn == public or any(team.arn == arn for team in self.books if team.region == region)

    def _seed(self, region: str) -> None:
        """Have the sample team in a region that is first spoken of."""
        if region not in self._seeded:
            self._seeded.add(region)
            self.books.add(Workteam(region, _SAMPLE_REQUEST, {}))

    def _find(self, region: str, name: str) -> Workteam:
        self._seed(region)
        team = self.books.get(region, name)
        if team is None:
            # Code and beginning of the sentence: hashicorp/terraform-provider-aws, sagemaker/workteam.go.
            raise invalid(f"The work team {name} doesn't exist in region {region}.")
        return team

    async def _create(self, body: Json, region: str) -> Json:
        self._seed(region)
        request = {name: value for name, value in body.items() if value is not None}
        _check_members(request["MemberDefinitions"])
        tags = of_request(request)
        team = Workteam(region, request, tags)
        self.books.add(team)
        return {"WorkteamArn": team.arn}

    async def _describe(self, body: Json, region: str) -> Json:
        return {"Workteam": self._find(region, body["WorkteamName"]).description()}

    async def _list(self, body: Json, region: str) -> Json:
        self._seed(region)
        return self.books.listed({"SortBy": "Name", "SortOrder": "Ascending"} | body, region, "Workteams")

    async def _update(self, body: Json, region: str) -> Json:
        team = self._find(region, body["WorkteamName"])
        if members := body.get("MemberDefinitions"):
            _check_members(members)
        team.change(body)
        return {"Workteam": team.description()}

    async def _delete(self, body: Json, region: str) -> Json:
        self.books.remove(self._find(region, body["WorkteamName"]))
        return {"Success": True}


def _taken(team: Workteam) -> ApiError:
    return ApiError("ResourceInUse", f"The work team {team.name} already exists ({team.arn}).")


def _check_members(rows: list[Json]) -> None:
    """The rules of CreateWorkteam's reference. Raises `ApiError`."""
    kinds = {kind for row in rows for kind, value in row.items() if value}
    if any(len([value for value in row.values() if value]) != 1 for row in rows) or len(kinds) > 1:
        raise invalid(
            "MemberDefinitions: each must hold either a CognitoMemberDefinition or an OidcMemberDefinition, and all of"
            " them the same."
        )
    pools = {
        (member["UserPool"], member["ClientId"])
        for row in rows
        if (member := row.get("CognitoMemberDefinition"))
    }
    if len(pools) > 1:
        raise invalid(
            "MemberDefinitions: all CognitoMemberDefinition objects must have the same ClientId and UserPool."
        )
