"""One session: endpoints, credentials, connections and the number of attempts, against real servers on loopback."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web
from botocore.exceptions import ConnectTimeoutError, EndpointConnectionError, ReadTimeoutError
from pydantic import ValidationError

from components.aws import credentials, session
from components.aws.errors import Denied, Expired, translated
from components.aws.inputs import AwsInputs, Where
from components.aws.session import Aws
from runner.errors import InputError, ServiceError, Transient, Unreachable

ROLE = "arn:aws:iam::123456789012:role/runner"
ASSUMED = """<AssumeRole{web}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRole{web}Result>
<AssumedRoleUser><Arn>{role}</Arn><AssumedRoleId>AROA:x</AssumedRoleId></AssumedRoleUser>
<Credentials><AccessKeyId>{key}</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>
<Expiration>{until}</Expiration></Credentials></AssumeRole{web}Result>
<ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></AssumeRole{web}Response>"""
STS_DENIES = """<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>
<Code>AccessDenied</Code><Message>User: me is not authorized to perform: sts:AssumeRole on resource: {role}</Message>
</Error><RequestId>1</RequestId></ErrorResponse>"""


@dataclass
class Server:
    """AWS as far as a session needs it."""

    url: str = ""
    calls: list[tuple[str, str]] = field(default_factory=list)
    """(operation, the access key that signed)."""
    peers: set[Any] = field(default_factory=set)
    """The client's ports: one a connection."""
    answers: list[tuple[int, Any]] = field(default_factory=list)
    """Status and body of the next answers to calls of SageMaker and Logs; `{}` with 200 when used up."""
    credentials_live: float = 3600.0
    """Seconds for which handed-out credentials are valid."""
    sts_denies: bool = False
    handed_out: int = 0
    forms: list[dict[str, str]] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.Response:
        assert request.transport is not None
        self.peers.add(request.transport.get_extra_info("peername"))
        if request.method == "GET":
            return self._container(request)
        signed = re.search(r"Credential=([^/]+)/", request.headers.get("Authorization", ""))
        key = signed.group(1) if signed else ""
        target = request.headers.get("X-Amz-Target", "")
        if not target:
            form = {name: str(value) for name, value in (await request.post()).items()}
            self.calls.append((form["Action"], key))
            self.forms.append(form)
            return self._assumed("WithWebIdentity" if "Web" in form["Action"] else "")
        self.calls.append((target.partition(".")[2], key))
        status, body = self.answers.pop(0) if self.answers else (200, {})
        if isinstance(body, str):
            return web.Response(status=status, text=body, content_type="text/html")
        return web.json_response(body, status=status, content_type="application/x-amz-json-1.1")

    def _assumed(self, web_identity: str) -> web.Response:
        if self.sts_denies:
            return web.Response(status=403, text=STS_DENIES.format(role=ROLE), content_type="text/xml")
        return web.Response(
            text=ASSUMED.format(web=web_identity, role=ROLE, key=self._key(), until=self._until()),
            content_type="text/xml",
        )

    def _container(self, request: web.Request) -> web.Response:
        self.tokens.append(request.headers.get("Authorization", ""))
        self.calls.append(("GET", ""))
        answer = {
            "AccessKeyId": self._key(),
            "SecretAccessKey": "s",
            "Token": "t",
            "Expiration": self._until(),
        }
        return web.json_response(answer)

    def _key(self) -> str:
        self.handed_out += 1
        return f"ASIA{self.handed_out}"

    def _until(self) -> str:
        return f"{datetime.now(UTC) + timedelta(seconds=self.credentials_live):%Y-%m-%dT%H:%M:%SZ}"


@asynccontextmanager
async def serving() -> AsyncIterator[Server]:
    server = Server()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await runner.cleanup()


@pytest.fixture
async def aws_server() -> AsyncIterator[Server]:
    async with serving() as server:
        yield server


@pytest.fixture
async def other_server() -> AsyncIterator[Server]:
    async with serving() as server:
        yield server


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIASTATIC")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")


@pytest.fixture
def no_static_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")


def where(**inputs: str) -> AwsInputs:
    return AwsInputs(region="eu-west-1", **inputs)  # type: ignore[arg-type]


async def describe(aws: Aws) -> Any:
    return await aws.call("sagemaker", "describe_training_job", TrainingJobName="job")


FAILURES = [
    (400, {"__type": "ThrottlingException", "message": "Rate exceeded"}),
    (500, {"__type": "InternalFailure", "message": "oops"}),
    (503, {"__type": "ServiceUnavailable", "message": "oops"}),
    (500, "<html>moto fell over</html>"),
    (500, ""),
]


# ── Attempts and connections ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("failure", FAILURES, ids=["throttle", "500", "503", "html", "empty"])
async def test_one_attempt_a_call(aws_server: Server, failure: tuple[int, Any]) -> None:
    aws_server.answers = [failure] * 5
    async with Aws(where(endpoint_url=aws_server.url)) as aws:
        with pytest.raises(Transient):
            await describe(aws)
        assert aws_server.calls == [("DescribeTrainingJob", "AKIASTATIC")]
        with pytest.raises(Transient):
            await describe(aws)
        assert len(aws_server.calls) == 2


async def test_a_connection_is_kept_for_the_next_call(aws_server: Server) -> None:
    async with Aws(where(endpoint_url=aws_server.url)) as aws:
        for _ in range(5):
            await describe(aws)
        client = await aws.client("sagemaker")
        (http,) = client._endpoint.http_session._sessions.values()
        assert http.connector._keepalive_timeout == session.KEEP_ALIVE > 30 + 60, "polls are up to 30 s apart"
    assert len(aws_server.calls) == 5
    assert len(aws_server.peers) == 1


async def test_a_connection_that_the_server_closed_meanwhile_is_made_anew_or_told(aws_server: Server) -> None:
    async with Aws(where(endpoint_url=aws_server.url)) as aws:
        await describe(aws)
        http = next(iter((await aws.client("sagemaker"))._endpoint.http_session._sessions.values()))
        for connections in http.connector._conns.values():
            for protocol, _ in connections:
                protocol.transport.abort()
        with suppress(Transient):
            await describe(aws)
        await describe(aws)
    assert len(aws_server.peers) == 2


async def test_clients_are_made_once_though_many_ask_at_the_same_time(
    aws_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws_server.url)
    async with Aws(where()) as aws:
        clients = await asyncio.gather(*(aws.client("logs") for _ in range(20)))
    assert len({id(client) for client in clients}) == 1


async def test_the_agent_names_us(aws_server: Server) -> None:
    async with Aws(where(endpoint_url=aws_server.url)) as aws:
        client = await aws.client("sagemaker")
        assert (
            "kfp-runner/" in client.meta.config.user_agent
            or "kfp-runner/" in client.meta.config.user_agent_extra
        )


# ── What breaks on the way ──────────────────────────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def raw(then: Callable[[asyncio.StreamWriter], None]) -> AsyncIterator[str]:
    """A server that reads a request, and then does as it is told."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await reader.readuntil(b"}")
        then(writer)

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


def reset(writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def half(writer: asyncio.StreamWriter) -> None:
    writer.write(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.1\r\nContent-Length: 100\r\n\r\n{"
    )
    writer.close()


def nonsense(writer: asyncio.StreamWriter) -> None:
    writer.write(b"nothing that HTTP knows\r\n\r\n")
    writer.close()


@pytest.mark.parametrize("then", [reset, asyncio.StreamWriter.close, half, nonsense])
async def test_an_answer_that_is_lost_on_the_way_leaves_doubt(
    then: Callable[[asyncio.StreamWriter], None],
) -> None:
    """The request was read: the job may have been made, though the client calls a reset 'could not connect'."""
    async with raw(then) as url, Aws(where(endpoint_url=url)) as aws:
        with pytest.raises(Transient) as caught:
            await describe(aws)
    assert caught.value.ambiguous
    assert "SageMaker DescribeTrainingJob: no answer" in str(caught.value)


async def test_no_answer_in_time_leaves_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "READ_TIMEOUT", 0.05)
    held: list[asyncio.StreamWriter] = []
    async with raw(held.append) as url, Aws(where(endpoint_url=url)) as aws:
        with pytest.raises(Transient, match="Read timeout") as caught:
            await describe(aws)
        assert caught.value.ambiguous
        for writer in held:
            writer.close()


async def test_a_refused_connection_was_no_call() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    async with Aws(where(endpoint_url=url)) as aws:
        with pytest.raises(Unreachable, match=f"can't reach SageMaker at {url}: .*refused") as caught:
            await describe(aws)
    assert not caught.value.ambiguous


# ── Endpoints ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_endpoint_url_is_sagemakers_alone(
    aws_server: Server, other_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", other_server.url)
    async with Aws(where(endpoint_url=f" {aws_server.url} ")) as aws:
        await describe(aws)
        await aws.call("logs", "describe_log_streams", logGroupName="group")
    assert [operation for operation, _ in aws_server.calls] == ["DescribeTrainingJob"]
    assert [operation for operation, _ in other_server.calls] == ["DescribeLogStreams"]


async def test_without_any_the_services_keep_their_own() -> None:
    async with Aws(where()) as aws:
        assert (
            await aws.client("sagemaker")
        ).meta.endpoint_url == "https://api.sagemaker.eu-west-1.amazonaws.com"
        assert (await aws.client("logs")).meta.endpoint_url == "https://logs.eu-west-1.amazonaws.com"


@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SAGEMAKER"])
async def test_the_environments_endpoints_are_honoured(
    aws_server: Server, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, aws_server.url)
    async with Aws(where()) as aws:
        await describe(aws)
        logs = (await aws.client("logs")).meta.endpoint_url
    assert len(aws_server.calls) == 1
    assert (logs == aws_server.url) is (name == "AWS_ENDPOINT_URL")


@pytest.mark.parametrize(
    ("inputs", "argument"),
    [
        ({"region": "eu west 1"}, "region"),
        ({"region": ""}, "region"),
        ({"region": "eu-west-1", "endpoint_url": "no address"}, "endpoint_url"),
    ],
)
def test_where_that_is_nonsense_is_named(inputs: dict[str, str], argument: str) -> None:
    with pytest.raises(ValidationError) as caught:
        AwsInputs(**inputs)  # type: ignore[arg-type]
    assert [error["loc"] for error in caught.value.errors()] == [(argument,)]


@pytest.mark.parametrize("url", ["https://user:hunter2@host", "htps:/user:hunter2@host", "user:hunter2@host"])
@pytest.mark.parametrize("model", [Where, AwsInputs])
def test_an_address_with_a_password_is_refused_without_repeating_it(model: type[Where], url: str) -> None:
    with pytest.raises(ValidationError) as caught:
        model(region="eu-west-1", endpoint_url=url)
    (error,) = caught.value.errors()
    assert error["loc"] == ()  # Of an error that has a place, the command line shows the input.
    assert "--endpoint_url" in error["msg"]
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("kind", [EndpointConnectionError, ConnectTimeoutError, ReadTimeoutError])
def test_a_password_in_the_environments_address_is_not_told(kind: type[Exception]) -> None:
    url = "https://user:hunter2@host/path"
    with (
        pytest.raises(ServiceError, match="https://host/path") as caught,
        translated("SageMaker", "Stop", url),
    ):
        raise kind(endpoint_url=url, error="")  # type: ignore[call-arg]
    assert "hunter2" not in str(caught.value)


async def test_where_is_enough_to_connect_and_shows_no_password() -> None:
    assert list(Where.model_fields) == list(AwsInputs.model_fields)[:3]
    async with Aws(
        Where.model_construct(endpoint_url="https://user:hunter2@host/x", region="r", assume_role="")
    ) as aws:
        assert aws.endpoint_url == "https://host/x"


async def test_an_endpoint_in_the_environment_that_is_nonsense(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "no address")
    async with Aws(where()) as aws:
        with pytest.raises(InputError, match="AWS_ENDPOINT_URL"):
            await describe(aws)


# ── Credentials ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.usefixtures("no_static_keys")
async def test_no_credentials_at_all(aws_server: Server) -> None:
    async with Aws(where(endpoint_url=aws_server.url)) as aws:
        with pytest.raises(ServiceError, match="no AWS credentials to call SageMaker with") as caught:
            await describe(aws)
    assert not isinstance(caught.value, Transient)
    with pytest.raises(ServiceError, match="no AWS credentials"):
        async with Aws(where(endpoint_url=aws_server.url, assume_role=ROLE)) as aws:
            await aws.ready("sagemaker")
    assert aws_server.calls == []


async def test_a_profile_that_does_not_exist(aws_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(ServiceError, match=r"profile \(nobody\) could not be found"):
        async with Aws(where(endpoint_url=aws_server.url)) as aws:
            await describe(aws)


@pytest.fixture
def sts(aws_server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", aws_server.url)
    return aws_server


async def test_a_role_is_assumed_once_while_it_lasts(sts: Server) -> None:
    async with Aws(where(endpoint_url=sts.url, assume_role=ROLE)) as aws:
        for _ in range(3):
            await describe(aws)
        assert aws.scope == (ROLE, "eu-west-1")
    assert sts.calls == [("AssumeRole", "AKIASTATIC"), *[("DescribeTrainingJob", "ASIA1")] * 3]
    assert sts.forms[0]["RoleArn"] == ROLE
    assert sts.forms[0]["DurationSeconds"] == "3600"
    assert re.fullmatch(r"kfp-runner-\d+", sts.forms[0]["RoleSessionName"])


async def test_a_role_is_refreshed_before_it_expires(sts: Server) -> None:
    sts.credentials_live = 2.0
    async with Aws(where(endpoint_url=sts.url, assume_role=ROLE)) as aws:
        for _ in range(3):
            await describe(aws)
    used = [key for operation, key in sts.calls if operation == "DescribeTrainingJob"]
    assert len(set(used)) == 3, "never with credentials that are about to expire"


async def test_a_role_that_may_not_be_assumed(sts: Server) -> None:
    sts.sts_denies = True
    async with Aws(where(endpoint_url=sts.url, assume_role=ROLE)) as aws:
        with pytest.raises(Denied) as caught:
            await describe(aws)
    text = str(caught.value)
    assert text.startswith(
        "AssumeRole (for SageMaker DescribeTrainingJob) was refused (AccessDenied): User: me"
    )
    assert ROLE in text
    assert "\n" not in text
    assert [operation for operation, _ in sts.calls] == ["AssumeRole"]


async def test_a_role_whose_credentials_come_expired(sts: Server) -> None:
    sts.credentials_live = -3600.0
    async with Aws(where(endpoint_url=sts.url, assume_role=ROLE)) as aws:
        with pytest.raises(Unreachable, match="clock"):
            await describe(aws)
    assert {operation for operation, _ in sts.calls} == {"AssumeRole"}


@pytest.mark.usefixtures("no_static_keys")
async def test_the_service_accounts_web_identity(
    sts: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """IRSA: what EKS sets in a pod."""
    (tmp_path / "token").write_text("a.web.token")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("AWS_ROLE_ARN", ROLE)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    sts.credentials_live = 2.0
    async with Aws(where(endpoint_url=sts.url)) as aws:
        await describe(aws)
        (tmp_path / "token").write_text("a.newer.token")
        await describe(aws)
    described = [key for operation, key in sts.calls if operation == "DescribeTrainingJob"]
    assert len(set(described)) == 2
    assert [sts.forms[0]["WebIdentityToken"], sts.forms[-1]["WebIdentityToken"]] == [
        "a.web.token",
        "a.newer.token",
    ]
    assert {form["Action"] for form in sts.forms} == {"AssumeRoleWithWebIdentity"}


@pytest.mark.usefixtures("no_static_keys")
async def test_a_web_identity_without_its_file(
    sts: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "nothing"))
    monkeypatch.setenv("AWS_ROLE_ARN", ROLE)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    async with Aws(where(endpoint_url=sts.url)) as aws:
        with pytest.raises(ServiceError, match=r"no AWS credentials.*nothing") as caught:
            await describe(aws)
    assert not isinstance(caught.value, Transient)


@pytest.mark.usefixtures("no_static_keys")
async def test_the_containers_credentials(
    aws_server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """EKS Pod Identity: an address on the node, and a token in a file."""
    (tmp_path / "token").write_text("pod-token")
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{aws_server.url}/v1/credentials")
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(tmp_path / "token"))
    async with Aws(where(endpoint_url=aws_server.url)) as aws:
        await describe(aws)
        await describe(aws)
    assert aws_server.calls == [("GET", ""), *[("DescribeTrainingJob", "ASIA1")] * 2]
    assert aws_server.tokens == ["pod-token"]


EXPIRED = (
    400,
    {"__type": "ExpiredTokenException", "message": "The security token included in the request is expired"},
)


async def test_expired_credentials_are_given_time_to_be_renewed(
    aws_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws_server.answers = [EXPIRED, EXPIRED]
    async with Aws(where(endpoint_url=aws_server.url)) as aws:
        with pytest.raises(Transient, match="renew the credentials"):
            await describe(aws)
        monkeypatch.setattr(credentials, "EXPIRY_PATIENCE", 0.0)  # It is over.
        with pytest.raises(Expired, match="renew the credentials"):
            await describe(aws)


async def test_an_answer_between_restores_the_patience(
    aws_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(credentials, "time", SimpleNamespace(monotonic=lambda: now))
    aws_server.answers = [EXPIRED, (200, {}), EXPIRED, EXPIRED]
    async with Aws(where(endpoint_url=aws_server.url)) as aws:
        with pytest.raises(Transient):
            await describe(aws)
        await describe(aws)
        now += credentials.EXPIRY_PATIENCE + 1
        with pytest.raises(Transient):
            await describe(aws)
        now += credentials.EXPIRY_PATIENCE + 1
        with pytest.raises(Expired):
            await describe(aws)


async def test_credentials_that_renew_themselves_never_expire_for_good(
    sts: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credentials, "EXPIRY_PATIENCE", 0.0)
    sts.answers = [EXPIRED] * 3
    async with Aws(where(endpoint_url=sts.url, assume_role=ROLE)) as aws:
        for _ in range(3):
            with pytest.raises(Transient) as caught:
                await describe(aws)
            assert not isinstance(caught.value, Expired)
        await describe(aws)


async def test_an_operations_model_needs_no_connection() -> None:
    async with Aws(where()) as aws:
        model = await aws.operation("sagemaker", "CreateTrainingJob")
    assert "TrainingJobName" in model.input_shape.members
    assert json.dumps(sorted(model.input_shape.required_members))
