"""The work team component: inputs → request, what a wrong input is told, and a team that is made, found again, deleted."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.session import Session

from components.aws.errors import AlreadyExists
from components.aws.sagemaker._api import WORKTEAM
from components.aws.sagemaker._job import SageMakerJob
from components.aws.sagemaker.workteam import component as workteam
from components.aws.validate import check
from runner.errors import InputError, NameTaken, NotFound, Transient
from runner.events import Phase
from runner.identity import OWNER_TAG, RUN_TAG, Identity
from runner.job import StopAnswer
from runner.spec import parse
from tests.unit.aws.recorded import arguments, holds_all, needs_recorded

IDENTITY = Identity("aws.sagemaker.workteam", suffix="20260131120000-AB12")
IN_RUN = Identity("aws.sagemaker.workteam", "run-1", "team")
GIVEN: dict[str, Any] = {
    "region": "us-east-1",
    "team_name": "team-1",
    "description": "Reads digits",
    "user_pool": "us-east-1_Ab1",
    "user_groups": "g1, g2",
    "client_id": "client",
}


def body(identity: Identity = IDENTITY, **changes: Any) -> dict[str, Any]:
    given = workteam.WorkteamInputs(**{**GIVEN, **changes})
    (operation, request), *more = workteam.request(given, identity).items()
    assert (operation, more) == ("CreateWorkteam", [])
    made: dict[str, Any] = request
    return made


def cognito(group: str) -> dict[str, Any]:
    return {
        "CognitoMemberDefinition": {"UserPool": "us-east-1_Ab1", "UserGroup": group, "ClientId": "client"}
    }


# ── The request ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_team_of_cognito_groups() -> None:
    assert body() == {
        "WorkteamName": "team-1",
        "MemberDefinitions": [cognito("g1"), cognito("g2")],
        "Description": "Reads digits",
        "Tags": [],
    }


def test_a_team_of_another_identity_providers_groups() -> None:
    made = body(user_pool="", client_id="", user_groups="g1, g2,")
    assert made["MemberDefinitions"] == [{"OidcMemberDefinition": {"Groups": ["g1", "g2"]}}]


@pytest.mark.parametrize(
    ("given", "where", "sent"),
    [
        ({"team_name": "mine"}, "WorkteamName", "mine"),
        ({"description": "d"}, "Description", "d"),
        ({"user_groups": "one"}, "MemberDefinitions", [cognito("one")]),
        ({"user_groups": " a b ,, c "}, "MemberDefinitions", [cognito("a b"), cognito("c")]),
        (
            {"sns_topic": "arn:aws:sns:us-east-1:123456789012:t"},
            "NotificationConfiguration",
            {"NotificationTopicArn": "arn:aws:sns:us-east-1:123456789012:t"},
        ),
        ({}, "NotificationConfiguration", None),
        ({"tags": {"b": "1", "a": 2}}, "Tags", [{"Key": "b", "Value": "1"}, {"Key": "a", "Value": "2"}]),
        ({"endpoint_url": "https://vpce", "assume_role": "arn:r"}, "WorkteamName", "team-1"),
    ],
)
def test_each_input_goes_where_the_predecessor_sent_it(given: dict[str, Any], where: str, sent: Any) -> None:
    assert body(**given).get(where) == sent


@needs_recorded
def test_every_recorded_input_exists_and_none_is_forgotten() -> None:
    names = arguments("workteam")
    assert holds_all("workteam", workteam.WorkteamInputs, workteam.WorkteamOutputs, names)


def test_in_a_pipeline_run_the_team_carries_the_tags_by_which_it_is_known_again() -> None:
    first = body(IN_RUN, tags={"a": "1"})
    assert first == body(IN_RUN, tags={"a": "1"})
    assert first["WorkteamName"] == "team-1"
    assert [tag["Key"] for tag in first["Tags"]] == ["a", RUN_TAG, OWNER_TAG]


# ── Wrong input ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"user_groups": ""}, ["--user_groups is blank", "one to ten"]),
        ({"user_groups": " , "}, ["--user_groups is blank"]),
        ({"user_groups": ",".join("abcdefghijk")}, ["--user_groups names 11 groups; 10 are possible"]),
        ({"user_groups": "a,b,a"}, ["--user_groups names 'a' twice"]),
        ({"client_id": ""}, ["--user_pool is 'us-east-1_Ab1'", "--client_id is blank"]),
        ({"user_pool": ""}, ["--client_id is 'client'", "--user_pool is blank"]),
        ({"team_name": "under_score"}, ["--team_name is 'under_score'"]),
        ({"team_name": "x" * 64}, ["--team_name", "at most 63"]),
        ({"tags": {"aws:x": "1"}}, ["--tags", "aws:"]),
    ],
)
def test_a_wrong_input_is_named_with_what_to_write(given: dict[str, Any], told: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        body(**given)
    assert caught.value.exit_code == 2
    for part in told:
        assert part in str(caught.value)


@pytest.mark.parametrize("name", ["region", "team_name", "description"])
def test_what_is_required_is_named(name: str) -> None:
    for argv in ({k: v for k, v in GIVEN.items() if k != name}, {**GIVEN, name: ""}):
        if name == "region" and name in argv:
            continue
        with pytest.raises(InputError, match=f"--{name} is required"):
            parse(workteam.component, argv.items())


@pytest.fixture(scope="module")
def create() -> Any:
    return Session().get_service_model("sagemaker").operation_model("CreateWorkteam")


@pytest.mark.parametrize("given", [{}, {"user_pool": "", "client_id": ""}, {"tags": {"a": "b"}}])
def test_a_sound_request_passes_the_service_model(create: Any, given: dict[str, Any]) -> None:
    check(create, body(**given), workteam.ARGUMENTS)
    check(create, body(IN_RUN, **given), workteam.ARGUMENTS)


@pytest.mark.parametrize(
    ("given", "argument", "told"),
    [
        ({"description": "x" * 201}, "description", "at most 200"),
        ({"sns_topic": "topic"}, "sns_topic", "'topic'"),
        ({"client_id": "x" * 1025}, "client_id", "at most 1024"),
        ({"user_groups": "x" * 129}, "user_groups", "at most 128"),
        ({"user_pool": "", "client_id": "", "user_groups": "x" * 64}, "user_groups", "at most 63"),
    ],
)
def test_what_the_service_model_refuses_is_named_by_its_argument(
    create: Any, given: dict[str, Any], argument: str, told: str
) -> None:
    with pytest.raises(InputError) as caught:
        check(create, body(**given), workteam.ARGUMENTS)
    assert str(caught.value).startswith(f"--{argument}: ")
    assert told in str(caught.value)


# ── Status and outputs ──────────────────────────────────────────────────────────────────────────────────────────────

ARN = "arn:aws:sagemaker:us-east-1:123456789012:workteam/private-crowd/team-1"


@pytest.mark.parametrize("portal", ["x1.labeling.us-east-1.sagemaker.aws", "https://x1.labeling.aws"])
def test_a_team_that_is_there_is_finished_and_tells_its_portal(portal: str) -> None:
    status = workteam.status({"WorkteamName": "team-1", "SubDomain": portal})
    address = portal if portal.startswith("https") else f"https://{portal}"
    assert (status.phase, status.reason, status.metrics) == (Phase.SUCCEEDED, "", ())
    assert status.message == f"Labeling portal: {address}"
    assert status.facts == {"team": "team-1", "labeling portal": address}


def test_a_team_without_a_portal_yet() -> None:
    status = workteam.status({"WorkteamName": "team-1"})
    assert (status.phase, status.message, status.facts) == (Phase.SUCCEEDED, "", {"team": "team-1"})


async def test_outputs() -> None:
    found = await workteam.outputs(None, {"WorkteamArn": ARN})  # type: ignore[arg-type]
    assert found == workteam.WorkteamOutputs(workteam_arn=ARN)


# ── Made, found again, deleted ──────────────────────────────────────────────────────────────────────────────────────


class Service:
    """Stands in for `Aws`: the teams' books. `lost`: the next Create is carried out, and its answer lost."""

    region, embedded, endpoint_url, role = "us-east-1", False, "", ""

    def __init__(self, *, lost: bool = False) -> None:
        self.lost = lost
        self.teams: dict[str, dict[str, Any]] = {}
        self.tags: dict[str, Any] = {}

    async def call(self, service: str, operation: str, **request: Any) -> Mapping[str, Any]:
        assert service == "sagemaker"
        return getattr(self, operation)(request) or {}

    def add(self, request: dict[str, Any], ago: float = 0.0) -> None:
        name = request["WorkteamName"]
        described = {key: value for key, value in request.items() if key != "Tags"}
        made = datetime.now(UTC) - timedelta(seconds=ago)
        self.teams[name] = {**described, "WorkteamArn": f"arn:{name}", "CreateDate": made}
        self.tags[f"arn:{name}"] = request["Tags"]

    def create_workteam(self, request: dict[str, Any]) -> None:
        if request["WorkteamName"] in self.teams:
            raise AlreadyExists("the name is in use")
        self.add(request)
        if self.lost:
            self.lost = False
            raise Transient("no answer")

    def describe_workteam(self, request: dict[str, Any]) -> dict[str, Any]:
        if request["WorkteamName"] not in self.teams:
            raise NotFound("no such team")
        return {"Workteam": self.teams[request["WorkteamName"]]}

    def delete_workteam(self, request: dict[str, Any]) -> None:
        del self.teams[request["WorkteamName"]]

    def list_tags(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"Tags": self.tags[request["ResourceArn"]]}


def job_of(service: Service, request: dict[str, Any]) -> SageMakerJob:
    reading = workteam.WIRING.reading
    return SageMakerJob(
        WORKTEAM,
        service,  # type: ignore[arg-type]
        "aws.sagemaker.workteam",
        reading,
        request["WorkteamName"],
        request,
    )


async def test_a_team_that_is_made_is_done_at_once() -> None:
    service = Service()
    job = job_of(service, body())
    launched = await job.launch()
    assert (launched.job, launched.adopted, set(launched.links)) == ("team-1", False, {"job"})
    assert (await job.describe()).phase is Phase.SUCCEEDED
    assert job.feeds() == []
    assert await job.outputs() == workteam.WorkteamOutputs(workteam_arn="arn:team-1")


async def test_a_restarted_step_finds_its_team() -> None:
    service = Service()
    service.add(body(IN_RUN), ago=7200)
    job = job_of(service, body(IN_RUN))
    assert (await job.launch()).adopted
    assert await job.stop() is StopAnswer.ENDED
    assert list(service.teams) == ["team-1"], "what an earlier start made is not this one's to delete"


@pytest.mark.parametrize("theirs", [IDENTITY, Identity("aws.sagemaker.workteam", "run-2", "team")])
async def test_somebody_elses_team_is_left_alone(theirs: Identity) -> None:
    service = Service()
    service.add(body(theirs))
    job = job_of(service, body(IN_RUN))
    with pytest.raises(NameTaken, match="--team_name"):
        await job.launch()
    assert await job.stop() is StopAnswer.NOT_OURS
    assert list(service.teams) == ["team-1"]


async def test_a_cancelled_start_deletes_the_team_that_it_made() -> None:
    service = Service()
    job = job_of(service, body())
    await job.launch()
    assert await job.stop() is StopAnswer.AGREED
    assert service.teams == {}
    assert "delete-workteam" in job.stop_command
    assert "--workteam-name team-1" in job.stop_command


async def test_after_an_answer_was_lost_the_team_that_was_made_is_ours() -> None:
    service = Service(lost=True)
    job = job_of(service, body())
    with pytest.raises(Transient):
        await job.launch()
    assert (await job.launch()).adopted
    assert await job.stop() is StopAnswer.AGREED
    assert service.teams == {}
