"""Workteams: names without workers behind them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
import pytest_asyncio
from botocore.exceptions import ClientError

from tests.emulator.helpers import Aws, client, embedded

pytestmark = pytest.mark.asyncio(loop_scope="module")

SAMPLE = "kfp-runner-samples"
TEAM = "arn:aws:sagemaker:us-east-1:123456789012:workteam/private-crowd"


def cognito(group: str = "g", pool: str = "us-east-1_a") -> dict[str, Any]:
    return {"CognitoMemberDefinition": {"UserPool": pool, "UserGroup": group, "ClientId": "c"}}


OIDC = {"OidcMemberDefinition": {"Groups": ["a", "b"]}}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def aws() -> AsyncIterator[Aws]:
    async with embedded() as aws:
        yield aws


async def create(aws: Aws, name: str, *members: dict[str, Any], **more: Any) -> str:
    answer = await aws.sagemaker.create_workteam(
        WorkteamName=name, Description="d", MemberDefinitions=list(members) or [cognito()], **more
    )
    return str(answer["WorkteamArn"])


async def names(aws: Aws, **options: Any) -> list[str]:
    answer = await aws.sagemaker.list_workteams(**options)
    return [row["WorkteamName"] for row in answer["Workteams"]]


async def test_a_team_is_described_as_it_was_made(aws: Aws) -> None:
    arn = await create(
        aws, "My-Team", cognito("a"), cognito("b"), Tags=[{"Key": "k", "Value": "v"}], WorkforceName="crew"
    )
    team = (await aws.sagemaker.describe_workteam(WorkteamName="My-Team"))["Workteam"]
    assert arn == team["WorkteamArn"] == f"{TEAM}/My-Team"
    assert team["WorkforceArn"].endswith(":workforce/private-crowd/crew")
    assert team["MemberDefinitions"] == [cognito("a"), cognito("b")]
    assert team["SubDomain"].endswith(".labeling.us-east-1.sagemaker.aws")
    assert team["CreateDate"] == team["LastUpdatedDate"]
    assert (await aws.sagemaker.list_tags(ResourceArn=arn))["Tags"] == [{"Key": "k", "Value": "v"}]


async def test_the_sample_team_is_everywhere_until_it_is_deleted() -> None:
    async with embedded() as aws, AsyncExitStack() as stack:
        other = await client(stack, aws.cloud.url, "sagemaker", "eu-west-1")
        for sagemaker, region in ((aws.sagemaker, "us-east-1"), (other, "eu-west-1")):
            team = (await sagemaker.describe_workteam(WorkteamName=SAMPLE))["Workteam"]
            assert team["SubDomain"].endswith(f".labeling.{region}.sagemaker.aws")
        assert (await aws.sagemaker.delete_workteam(WorkteamName=SAMPLE))["Success"] is True
        assert await names(aws) == []
        assert [row["WorkteamName"] for row in (await other.list_workteams())["Workteams"]] == [SAMPLE]


async def test_teams_are_listed_by_name_or_date(aws: Aws) -> None:
    for name in ("list-b", "list-a"):
        await create(aws, name, OIDC)
    assert await names(aws, NameContains="list") == ["list-a", "list-b"]
    assert await names(aws, NameContains="list", SortBy="CreateDate") == ["list-b", "list-a"]
    assert await names(aws, NameContains="list", SortOrder="Descending", MaxResults=1) == ["list-b"]


async def test_a_team_can_be_changed(aws: Aws) -> None:
    await create(aws, "changing")
    changed = await aws.sagemaker.update_workteam(WorkteamName="changing", MemberDefinitions=[OIDC])
    assert changed["Workteam"]["MemberDefinitions"] == [OIDC]
    assert changed["Workteam"]["Description"] == "d"
    assert changed["Workteam"]["LastUpdatedDate"] >= changed["Workteam"]["CreateDate"]


async def test_a_name_is_taken_once_and_free_again(aws: Aws) -> None:
    arn = await create(aws, "taken")
    with pytest.raises(ClientError) as caught:
        await create(aws, "taken")
    assert caught.value.response["Error"] == {
        "Code": "ResourceInUse",
        "Message": f"The work team taken already exists ({arn}).",
    }
    await aws.sagemaker.delete_workteam(WorkteamName="taken")
    await create(aws, "taken")


@pytest.mark.parametrize("operation", ["describe_workteam", "update_workteam", "delete_workteam"])
async def test_an_unknown_team_is_not_found(aws: Aws, operation: str) -> None:
    with pytest.raises(ClientError) as caught:
        await getattr(aws.sagemaker, operation)(WorkteamName="none")
    error = caught.value.response["Error"]
    assert error["Code"] == "ValidationException"
    assert error["Message"].startswith("The work team none")


@pytest.mark.parametrize(
    ("members", "text"),
    [
        ([cognito(), OIDC], "and all of them the same"),
        ([cognito() | OIDC], "either a CognitoMemberDefinition or"),
        ([{}], "either a CognitoMemberDefinition or"),
        ([cognito(), cognito(pool="us-east-1_b")], "must have the same ClientId and UserPool"),
        ([cognito(pool="x")], "must satisfy regular expression pattern"),
    ],
)
async def test_members_must_be_of_one_kind(aws: Aws, members: list[dict[str, Any]], text: str) -> None:
    with pytest.raises(ClientError, match=text):
        await create(aws, "refused", *members)
    assert await names(aws, NameContains="refused") == []
