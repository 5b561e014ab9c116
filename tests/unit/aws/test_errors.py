"""What AWS and its client raise → the engine's errors: of the right kind, in one line, with what, where and what to do."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from botocore import exceptions as boto
from botocore.parsers import ResponseParserError

from components.aws.errors import AlreadyExists, Denied, Expired, Unsupported, translated
from runner.errors import InputError, NotFound, RunnerError, ServiceError, Throttled, Transient, Unreachable

URL = "https://api.sagemaker.eu-west-1.amazonaws.com/"


def refused(
    code: str, text: str = "Because.", status: int = 400, operation: str = "CreateTrainingJob"
) -> Exception:
    answer: Any = {"Error": {"Code": code, "Message": text}, "ResponseMetadata": {"HTTPStatusCode": status}}
    error: Exception = boto.ClientError(answer, operation)
    return error


def translation(error: Exception) -> RunnerError:
    with pytest.raises(RunnerError) as caught, translated("SageMaker", "CreateTrainingJob", URL):
        raise error
    assert caught.value.__cause__ is error
    assert "\n" not in str(caught.value)
    return caught.value


def ambiguous(error: RunnerError) -> bool:
    assert isinstance(error, Transient)
    return error.ambiguous


# ── Refusals ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("Throttling", 400),
        ("ThrottlingException", 400),
        ("ThrottledException", 429),
        ("TooManyRequestsException", 429),
        ("RequestLimitExceeded", 503),
        ("RequestThrottledException", 400),
        ("SlowDown", 503),
        ("BandwidthLimitExceeded", 509),
        ("PriorRequestNotComplete", 400),
        ("", 429),
        ("429", 429),
    ],
)
def test_a_throttle_is_no_matter_of_doubt(code: str, status: int) -> None:
    error = translation(refused(code, "Rate exceeded", status))
    assert type(error) is Throttled
    assert not ambiguous(error)
    assert str(error) == "SageMaker CreateTrainingJob was throttled: Rate exceeded"


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("InternalFailure", 500),
        ("InternalServerError", 500),
        ("ServiceUnavailable", 503),
        ("", 502),
        ("504", 504),
        ("RequestTimeout", 400),
        ("RequestTimeoutException", 408),
    ],
)
def test_a_failure_on_the_services_side_may_have_been_carried_out(code: str, status: int) -> None:
    error = translation(refused(code, "We encountered an internal error.", status))
    assert type(error) is Transient
    assert ambiguous(error)
    assert f"HTTP {status}" in str(error)
    assert str(error).startswith("SageMaker CreateTrainingJob failed on the service's side")


@pytest.mark.parametrize(
    ("code", "text", "kind"),
    [
        (
            "ResourceInUse",
            "Training job names must be unique within an AWS account and region",
            AlreadyExists,
        ),
        ("ResourceInUseException", "in use", AlreadyExists),
        ("ConflictException", "in conflict", AlreadyExists),
        ("ResourceNotFound", "Requested resource not found.", NotFound),
        ("ResourceNotFoundException", "The specified log group does not exist.", NotFound),
        (
            "ValidationException",
            "LabelAttributeName 'digit' already exists in the input manifest",
            ServiceError,
        ),
        ("ValidationException", "Output already exists", ServiceError),
        ("ValidationException", "Could not find model 'arn:aws:…'.", ServiceError),
        ("ValidationException", "The specified Workteam 'arn:x' does not exist", ServiceError),
        ("ValidationException", "1 validation error detected: Value '' at 'roleArn'", ServiceError),
        (
            "ValidationException",
            "The request was rejected because the training job is in status Stopped",
            ServiceError,
        ),
        ("AccessDenied", "User: arn is not authorized", Denied),
        ("AccessDeniedException", "User: arn is not authorized to perform: logs:FilterLogEvents", Denied),
        ("UnknownOperationException", "", Unsupported),
        ("InvalidAction", "Could not find operation", Unsupported),
        ("ExpiredToken", "The security token included in the request is expired", Expired),
        ("ExpiredTokenException", "The security token included in the request is expired", Expired),
        ("OptInRequired", "You are not subscribed to this service", ServiceError),
        ("SomethingNew", "A text of next year", ServiceError),
    ],
)
def test_a_refusal_is_told_by_its_code(code: str, text: str, kind: type[ServiceError]) -> None:
    error = translation(refused(code, text))
    assert type(error) is kind
    assert error.exit_code == 3
    assert str(error).startswith(f"SageMaker CreateTrainingJob was refused ({code}): {text}")


@pytest.mark.parametrize(
    ("operation", "text", "kind"),
    [
        ("DescribeTrainingJob", "Requested resource not found.", NotFound),
        ("StopTransformJob", 'Could not find job to update with name "arn:aws:…".', NotFound),
        ("DeleteModel", 'Could not find model "arn:aws:…".', NotFound),
        ("ListTags", 'Could not find endpoint "arn:aws:…".', NotFound),
        ("UpdateEndpoint", 'Could not find endpoint configuration "arn:aws:…".', NotFound),
        ("CreateEndpoint", 'Could not find endpoint configuration "arn:aws:…".', NotFound),
        ("CreateEndpointConfig", 'Could not find model "arn:aws:…".', ServiceError),
        ("CreateModel", 'Cannot create already existing model "arn:aws:…".', AlreadyExists),
        ("CreateEndpoint", 'Cannot create already existing endpoint "arn:aws:…".', AlreadyExists),
        (
            "CreateEndpointConfig",
            'Cannot create already existing endpoint configuration "arn:aws:…".',
            AlreadyExists,
        ),
        ("UpdateEndpoint", 'Cannot create already existing endpoint "arn:aws:…".', ServiceError),
    ],
)
def test_a_refusal_without_a_code_of_its_own_is_told_by_operation_and_text(
    operation: str, text: str, kind: type[ServiceError]
) -> None:
    refusal = refused("ValidationException", text, operation=operation)
    with pytest.raises(ServiceError) as caught, translated("SageMaker", operation):
        raise refusal
    assert type(caught.value) is kind
    assert str(caught.value) == f"SageMaker {operation} was refused (ValidationException): {text}"


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("ExpiredToken", "renew the credentials"),
        ("AccessDeniedException", "grant the action"),
        ("UnrecognizedClientException", "check the access key"),
        ("InvalidClientTokenId", "check the access key"),
        ("SignatureDoesNotMatch", "check the access key"),
        ("InvalidSignatureException", "check the access key"),
        ("RequestTimeTooSkewed", "clock"),
        ("ResourceLimitExceeded", "Service Quotas"),
    ],
)
def test_a_refusal_says_what_to_do(code: str, advice: str) -> None:
    assert advice in str(translation(refused(code)))


def test_a_text_of_several_lines_becomes_one() -> None:
    assert "1 error: a b" in str(translation(refused("ValidationException", "1 error:\n  a\n\tb\n")))


def test_an_answer_without_an_error_still_has_a_text() -> None:
    error = translation(boto.ClientError({}, "CreateTrainingJob"))
    assert type(error) is ServiceError
    assert "SageMaker CreateTrainingJob was refused" in str(error)


def test_a_refused_call_for_credentials_is_named_as_such() -> None:
    text = "User: arn:aws:iam::1:user/me is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::1:role/x"
    error = translation(refused("AccessDenied", text, 403, "AssumeRole"))
    assert type(error) is Denied
    assert str(error).startswith(
        "AssumeRole (for SageMaker CreateTrainingJob) was refused (AccessDenied): User:"
    )


def test_a_call_for_credentials_that_fails_leaves_no_doubt_about_ours() -> None:
    error = translation(refused("InternalFailure", "oops", 500, "AssumeRoleWithWebIdentity"))
    assert type(error) is Unreachable
    assert not ambiguous(error)
    assert type(translation(refused("Throttling", "oops", 400, "AssumeRole"))) is Throttled
    assert type(translation(refused("ExpiredToken", "oops", 400, "AssumeRole"))) is Expired


# ── No answer ───────────────────────────────────────────────────────────────────────────────────────────────────────


def because(error: Exception, reason: Exception) -> Exception:
    error.__context__ = reason
    return error


KEY = ConnectionKey("api.sagemaker.eu-west-1.amazonaws.com", 443, True, True, None, None, None)
CONNECTOR = aiohttp.ClientConnectorError(KEY, ConnectionRefusedError(111, "Connect call failed"))
DNS = aiohttp.ClientConnectorDNSError(KEY, OSError(-2, "Name or service not known"))
RESET = aiohttp.ClientOSError(104, "Connection reset by peer")
WRITING = aiohttp.ClientConnectionResetError("Cannot write to closing transport")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (because(boto.EndpointConnectionError(endpoint_url=URL, error=CONNECTOR), CONNECTOR), "refused"),
        (
            because(boto.EndpointConnectionError(endpoint_url=URL, error=DNS), DNS),
            "Name or service not known",
        ),
        (boto.EndpointConnectionError(endpoint_url=URL), "Could not connect"),
        (boto.ConnectTimeoutError(endpoint_url=URL), "Connect timeout"),
        (boto.ProxyConnectionError(proxy_url="http://proxy"), "proxy"),
        (boto.SSLError(endpoint_url=URL, error="CERTIFICATE_VERIFY_FAILED"), "CERTIFICATE_VERIFY_FAILED"),
    ],
    ids=["refused", "name", "bare", "connect time-out", "proxy", "certificate"],
)
def test_what_was_never_connected_was_not_carried_out(error: Exception, told: str) -> None:
    found = translation(error)
    assert type(found) is Unreachable
    assert not ambiguous(found)
    assert str(found).startswith(f"can't reach SageMaker at {URL}: ")
    assert str(found).endswith("check the network, the region and AWS_ENDPOINT_URL")
    assert told.lower() in str(found).lower()


@pytest.mark.parametrize(
    "error",
    [
        because(boto.EndpointConnectionError(endpoint_url=URL, error=RESET), RESET),
        because(boto.EndpointConnectionError(endpoint_url=URL, error=WRITING), WRITING),
        boto.ReadTimeoutError(endpoint_url=URL),
        boto.ConnectionClosedError(endpoint_url=URL),
        boto.HTTPClientError(error="anything"),
        boto.ResponseStreamingError(error="cut off"),
        boto.IncompleteReadError(actual_bytes=1, expected_bytes=2),
        aiohttp.SocketTimeoutError("Timeout on reading data from socket"),
        aiohttp.ServerDisconnectedError(),
        ResponseParserError("Unable to parse response (not well-formed): b'<html>'"),
        TimeoutError(),
        ConnectionResetError(104, "Connection reset by peer"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_answer_that_was_lost_leaves_doubt(error: Exception) -> None:
    found = translation(error)
    assert type(found) is Transient
    assert ambiguous(found)
    assert str(found).startswith("SageMaker CreateTrainingJob: no answer (")
    assert "()" not in str(found)


@pytest.mark.parametrize(
    "error",
    [
        boto.NoCredentialsError(),
        boto.PartialCredentialsError(provider="env", cred_var="AWS_SECRET_ACCESS_KEY"),
        boto.ProfileNotFound(profile="nobody"),
        boto.ConfigParseError(path="/root/.aws/config", error="bad"),
        boto.InfiniteLoopConfigError(source_profile="a", visited_profiles=["a"]),
        boto.InvalidConfigError(error_msg="The profile 'x' must specify a source"),
        boto.SSOTokenLoadError(error_msg="no token"),
        boto.UnauthorizedSSOTokenError(),
        FileNotFoundError(2, "No such file or directory", "/var/run/secrets/eks/token"),
        PermissionError(13, "Permission denied", "/var/run/secrets/eks/token"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_credentials_that_are_lacking_do_not_come_by_waiting(error: Exception) -> None:
    found = translation(error)
    assert type(found) is ServiceError
    assert "no AWS credentials to call SageMaker with" in str(found)
    assert "AWS_PROFILE" in str(found)
    assert "--local" in str(found)


@pytest.mark.parametrize(
    "error",
    [
        boto.CredentialRetrievalError(provider="container-role", error_msg="timed out"),
        boto.MetadataRetrievalError(error_msg="timed out"),
        RuntimeError("Credentials were refreshed, but the refreshed credentials are still expired."),
    ],
    ids=lambda error: type(error).__name__,
)
def test_credentials_that_could_not_be_fetched_may_come_yet(error: Exception) -> None:
    found = translation(error)
    assert type(found) is Unreachable
    assert not ambiguous(found)
    assert "credentials" in str(found).lower()


@pytest.mark.parametrize(
    ("error", "argument"),
    [
        (boto.NoRegionError(), "--region"),
        (boto.InvalidRegionError(region_name="eu west 1"), "--region"),
        (boto.EndpointResolutionError(msg="Invalid Configuration: Missing Region"), "--region"),
        (boto.ParamValidationError(report="Unknown parameter in input"), "CreateTrainingJob"),
        (ValueError("Invalid endpoint: nonsense"), "--endpoint_url"),
    ],
)
def test_what_the_user_gave_wrong_is_named(error: Exception, argument: str) -> None:
    found = translation(error)
    assert type(found) is InputError
    assert found.exit_code == 2
    assert argument in str(found)


def test_what_the_client_can_not_even_send_is_not_tried_again() -> None:
    found = translation(boto.UnsupportedSignatureVersionError(signature_version="v9"))
    assert type(found) is ServiceError
    assert str(found).startswith("SageMaker CreateTrainingJob could not be sent: ")


@pytest.mark.parametrize("error", [ValueError("a bug"), RuntimeError("a bug"), KeyError("a bug")])
def test_our_own_bugs_pass_as_they_are(error: Exception) -> None:
    with pytest.raises(type(error), match="a bug"), translated("SageMaker", "CreateTrainingJob"):
        raise error
