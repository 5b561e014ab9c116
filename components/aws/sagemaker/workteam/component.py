"""SageMaker private work teams: who labels what Ground Truth hands out.

What is sent, and what is left out when blank, follows the predecessor's observed behaviour; where it does not, on
purpose, `DEVIATIONS` says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from components.aws.inputs import AwsInputs
from components.aws.sagemaker._api import WORKTEAM
from components.aws.sagemaker._reading import Reading
from components.aws.sagemaker._request import identified, key_value_tags
from components.aws.sagemaker._wiring import Wiring
from runner.errors import InputError
from runner.events import Phase, Status
from runner.identity import Identity
from runner.inputs import Outputs, arg

if TYPE_CHECKING:
    from components.aws.session import Aws

MOST_GROUPS = 10
"""Of a work team: the API takes as many member definitions, and as many groups of an identity provider."""

DEVIATIONS = (
    "Wrong input ends with exit code 2 and names the argument; the predecessor ended with 1.",
    (
        "`user_groups` without `user_pool` and `client_id` are groups of your own OpenID Connect identity provider; the "
        "predecessor sent an incomplete Cognito group, which was refused."
    ),
    "Blank items of `user_groups` (a trailing comma) are left out; they were sent.",
    "Unknown, abbreviated and doubled arguments are errors.",
    "What the service's own patterns and limits refuse, and tags that are AWS's or kfp-runner's, is an error.",
    (
        "In a pipeline run that passes its id (`runner.pipeline.identified`), two tags are added, so that a restarted "
        "pod finds the team that it made instead of failing because the name is in use."
    ),
    "A start that is cancelled deletes the team again if it was this start that made it.",
)


EXAMPLE = """\
  --region us-east-1 --team_name digits-team --description 'Reads handwritten digits' \\
  --user_pool us-east-1_Samples1 --user_groups readers,reviewers --client_id 3n4b5urk1ft4fl3mg5e62d9ado"""


class WorkteamInputs(AwsInputs):
    """Arguments of a work team, in the predecessor's order."""

    team_name: str = arg("Name of the team, at most 63 letters, digits and hyphens.")
    description: str = arg("What the team is for.")
    user_pool: str = arg(
        "Cognito user pool of the workforce; blank with an identity provider of your own.", ""
    )
    user_groups: str = arg("Groups that make up the team, one to ten, separated by commas.", "")
    client_id: str = arg("Client of the Cognito user pool; together with user_pool.", "")
    sns_topic: str = arg("ARN of an SNS topic that tells the workers of new tasks.", "")


class WorkteamOutputs(Outputs):
    """What is left behind."""

    workteam_arn: str = arg("ARN of the team, as labeling jobs take it.")


ARGUMENTS = {
    "WorkteamName": "team_name",
    "Description": "description",
    "MemberDefinitions": "user_groups",
    "MemberDefinitions[0].CognitoMemberDefinition.UserPool": "user_pool",
    "MemberDefinitions[0].CognitoMemberDefinition.ClientId": "client_id",
    "NotificationConfiguration": "sns_topic",
    "Tags": "tags",
}
"""Request member, with its path → the argument that fills it, or most of it."""


def request(inputs: WorkteamInputs, identity: Identity) -> dict[str, Any]:
    """Return the CreateWorkteam body. Raises `InputError`."""
    groups = [group.strip() for group in inputs.user_groups.split(",") if group.strip()]
    _check(inputs, groups)
    body: dict[str, Any] = {
        "WorkteamName": inputs.team_name,
        "MemberDefinitions": _members(inputs, groups),
        "Description": inputs.description,
        "Tags": key_value_tags(inputs.tags),
    }
    if inputs.sns_topic:
        body["NotificationConfiguration"] = {"NotificationTopicArn": inputs.sns_topic}
    return {WORKTEAM.create: identified(WORKTEAM, body, identity)}


def _check(inputs: WorkteamInputs, groups: list[str]) -> None:
    wrong = []
    if not groups:
        wrong.append(
            "--user_groups is blank; name the groups that make up the team, one to ten, separated by commas"
        )
    if len(groups) > MOST_GROUPS:
        wrong.append(f"--user_groups names {len(groups)} groups; {MOST_GROUPS} are possible")
    wrong += [
        f"--user_groups names {group!r} twice" for group in dict.fromkeys(groups) if groups.count(group) > 1
    ]
    if bool(inputs.user_pool) != bool(inputs.client_id):
        given, lacking = ("user_pool", "client_id") if inputs.user_pool else ("client_id", "user_pool")
        wrong.append(
            f"--{given} is {inputs.user_pool or inputs.client_id!r}, but --{lacking} is blank; Cognito groups need both, "
            "groups of an identity provider of your own neither"
        )
    if wrong:
        raise InputError("; ".join(wrong))


def _members(inputs: WorkteamInputs, groups: list[str]) -> list[dict[str, Any]]:
    """Return one definition for each Cognito group, or one for all groups of another identity provider.

    The API takes either kind, never both, and Cognito's all with the same pool and client.
    """
    if not inputs.user_pool:
        return [{"OidcMemberDefinition": {"Groups": groups}}]
    shared = {"UserPool": inputs.user_pool, "ClientId": inputs.client_id}
    return [{"CognitoMemberDefinition": {**shared, "UserGroup": group}} for group in groups]


def status(description: Mapping[str, Any]) -> Status:
    """Read the team of a DescribeWorkteam answer: one that is there is finished."""
    facts = {"team": description["WorkteamName"]}
    portal = description.get("SubDomain", "")
    if portal:
        facts["labeling portal"] = _address(portal)
    message = f"Labeling portal: {_address(portal)}" if portal else ""
    return Status(Phase.SUCCEEDED, "Created", message=message, facts=facts)


def _address(portal: str) -> str:
    """Return the portal's address, which the service tells without `https://`."""
    return portal if "://" in portal else f"https://{portal}"


async def outputs(_: Aws, description: Mapping[str, Any]) -> WorkteamOutputs:
    """Read the outputs off a team's description."""
    return WorkteamOutputs(workteam_arn=description["WorkteamArn"])


WIRING = Wiring("aws.sagemaker.workteam", WORKTEAM, request, ARGUMENTS, Reading(status, outputs))
component = WIRING.component(
    name="SageMaker - Private Workforce",
    summary="Make a private work team of Cognito groups, or of your own identity provider's, for labeling jobs.",
    inputs=WorkteamInputs,
    outputs=WorkteamOutputs,
    deviations=DEVIATIONS,
    example=EXAMPLE,
)
