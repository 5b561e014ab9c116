"""What AWS and its client raise → the errors of the engine.

Codes are matched, hardly ever texts: AWS rewords those. The exceptions are `ValidationException`, which SageMaker uses for
an unknown job and for the stop of an ended one, though its model says `ResourceNotFound`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import ClientConnectionError, ClientConnectorError
from aiohttp import ClientError as AiohttpError
from botocore import exceptions as boto
from botocore.parsers import ResponseParserError

from runner.errors import InputError, NotFound, RunnerError, ServiceError, Throttled, Transient, Unreachable

_THROTTLED = frozenset(
    {
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "TooManyRequestsException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "BandwidthLimitExceeded",
        "SlowDown",
        "PriorRequestNotComplete",
    }
)
_REQUEST_TIMEOUTS = frozenset({"RequestTimeout", "RequestTimeoutException"})
_NOT_REACHED = (
    boto.EndpointConnectionError,
    boto.ConnectTimeoutError,
    boto.ProxyConnectionError,
    boto.SSLError,
)
_BAD_REGION = (boto.InvalidRegionError, boto.BaseEndpointResolverError, boto.EndpointProviderError)
_BAD_CREDENTIALS = (
    boto.NoCredentialsError,
    boto.PartialCredentialsError,
    boto.UnknownCredentialError,
    boto.ProfileNotFound,
    boto.ConfigNotFound,
    boto.ConfigParseError,
    boto.InvalidConfigError,
    boto.RefreshWithMFAUnsupportedError,
    boto.SSOError,
    boto.LoginError,
)
_NO_ANSWER = (
    boto.HTTPClientError,
    boto.ConnectionError,
    boto.IncompleteReadError,
    boto.ChecksumError,
    ResponseParserError,
    AiohttpError,
    TimeoutError,
    OSError,
)
_STILL_EXPIRED = "refreshed credentials are still expired"
_TOO_MANY, _SERVER_ERROR = 429, 500
_USER = re.compile(r"(?<=://)[^/\s]*@")
_UNKNOWN_RESOURCE = re.compile(r"resource not found|could not find|does not exist", re.IGNORECASE)
_OF_WHAT_IS = re.compile(r"(Describe|Stop|Delete|List|Update|AddTags).*|CreateEndpoint")
"""Operations that may find nothing because it is gone, or not visible yet. What a Create does not find is something else
that it needs, and was named wrongly, but for the configuration that is made for an endpoint a moment before."""
_EXISTING = re.compile(r"already existing (model|endpoint( configuration)?)\b", re.IGNORECASE)
"""Models, endpoints and their configurations that exist are told by text alone: their code is `ValidationException`."""


class AlreadyExists(ServiceError):
    """The name is in use; by whom is yet to be seen."""


class Expired(ServiceError):
    """The credentials' time is up."""


class Renewing(Unreachable):
    """The credentials' time is up, but they may be under renewal; the call was certainly not carried out."""


class Denied(ServiceError):
    """The credentials do not permit the call."""


class Unsupported(ServiceError):
    """The endpoint does not know the operation: an older or partial stand-in for the service."""


@contextmanager
def translated(service: str, operation: str, endpoint: str = "") -> Iterator[None]:
    """Raise the engine's error in place of the client's, with one line that says what, where and what to do."""
    try:
        yield
    except boto.ClientError as error:
        inner = error.operation_name
        if inner in ("", operation):
            raise _refusal(error, f"{service} {operation}", operation) from error
        # It was a call for credentials, on the way to ours, which was never made.
        refusal = _refusal(error, f"{inner} (for {service} {operation})", inner)
        raise (Unreachable(str(refusal)) if type(refusal) is Transient else refusal) from error
    except (boto.BotoCoreError, ResponseParserError, AiohttpError, TimeoutError, OSError) as error:
        raise _failure(error, service, operation, endpoint) from error
    except ValueError as error:
        if not str(error).startswith("Invalid endpoint"):
            raise
        raise InputError(
            f"{service}: {_one_line(error)}; check --endpoint_url and AWS_ENDPOINT_URL"
        ) from error
    except RuntimeError as error:
        if _STILL_EXPIRED not in str(error):
            raise
        raise Unreachable(f"{service}: {_one_line(error)} Check this machine's clock.") from error


def _failure(error: Exception, service: str, operation: str, endpoint: str) -> RunnerError:
    """Return what it means that the client got no answer."""
    told = _one_line(error)
    where = f" at {without_user(endpoint)}" if endpoint else ""
    if isinstance(error, (*_BAD_REGION, boto.ParamValidationError)):
        return InputError(f"{'--region' if isinstance(error, _BAD_REGION) else operation}: {told}")
    if isinstance(
        error, boto.CredentialRetrievalError | boto.MetadataRetrievalError | boto.TokenRetrievalError
    ):
        return Unreachable(f"{service}: the credentials could not be fetched: {told}")
    if isinstance(error, _BAD_CREDENTIALS) or getattr(error, "filename", None):
        return ServiceError(
            f"no AWS credentials to call {service} with ({told}); set AWS_PROFILE or AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, give the pod's service account a role, or use the embedded cloud: "
            "emulate, or run with --local"
        )
    if isinstance(error, _NOT_REACHED) and not _was_connected(error):
        return Unreachable(
            f"can't reach {service}{where}: {_cause(error)}; check the network, the region "
            "and AWS_ENDPOINT_URL"
        )
    if isinstance(error, _NO_ANSWER):
        return Transient(f"{service} {operation}: no answer ({told})")
    return ServiceError(f"{service} {operation} could not be sent: {told}")


def _was_connected(error: Exception) -> bool:
    """Say whether a connection broke, rather than was never made: aiobotocore calls both `EndpointConnectionError`."""
    reason = error.__cause__ or error.__context__
    return (
        isinstance(error, boto.EndpointConnectionError)
        and isinstance(reason, ClientConnectionError)
        and not isinstance(reason, ClientConnectorError)
    )


_REFUSALS: tuple[tuple[type[ServiceError], frozenset[str], str], ...] = (
    (
        AlreadyExists,
        frozenset(
            {"ResourceInUse", "ResourceInUseException", "ConflictException", "ResourceAlreadyExistsException"}
        ),
        "",
    ),
    (NotFound, frozenset({"ResourceNotFound", "ResourceNotFoundException"}), ""),
    (
        Expired,
        frozenset({"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"}),
        "renew the credentials",
    ),
    (
        Denied,
        frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "NotAuthorized"}),
        "grant the action to the role that this step runs as",
    ),
    (
        Unsupported,
        frozenset(
            {
                "UnknownOperationException",
                "InvalidAction",
                "UnsupportedOperation",
                "NotImplementedByEmbeddedCloud",
            }
        ),
        "",
    ),
    (
        ServiceError,
        frozenset(
            {
                "UnrecognizedClientException",
                "InvalidClientTokenId",
                "InvalidSignatureException",
                "SignatureDoesNotMatch",
                "IncompleteSignature",
                "MissingAuthenticationToken",
                "AuthFailure",
            }
        ),
        "check the access key, its secret and the session token",
    ),
    (ServiceError, frozenset({"RequestExpired", "RequestTimeTooSkewed"}), "check this machine's clock"),
    (
        ServiceError,
        frozenset({"ResourceLimitExceeded"}),
        "ask for a higher quota in the Service Quotas console, or use another instance type",
    ),
)
"""What a code means for us, and what the user can do about it."""


def _refusal(error: boto.ClientError, call: str, operation: str) -> ServiceError:
    code = error.response.get("Error", {}).get("Code", "")
    text = _one_line(error.response.get("Error", {}).get("Message", "") or error)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    said = f"{call} was refused ({code}): {text}"
    if code in _THROTTLED or status == _TOO_MANY:
        return Throttled(f"{call} was throttled: {text}")
    for kind, codes, advice in _REFUSALS:
        if code in codes:
            return kind(f"{said}; {advice}" if advice else said)
    if code == "ValidationException" and operation.startswith("Create") and _EXISTING.search(text):
        return AlreadyExists(said)
    if code == "ValidationException" and _OF_WHAT_IS.fullmatch(operation) and _UNKNOWN_RESOURCE.search(text):
        return NotFound(said)
    if status >= _SERVER_ERROR or code in _REQUEST_TIMEOUTS:
        return Transient(f"{call} failed on the service's side (HTTP {status} {code}): {text}")
    return ServiceError(said)


def _cause(error: BaseException) -> str:
    """Return the operating system's own words, from the end of the chain."""
    while (deeper := error.__cause__ or error.__context__) is not None:
        error = deeper
    number = getattr(error, "errno", None)
    return os.strerror(number).lower() if number and number > 0 else _one_line(error)


def _one_line(error: object) -> str:
    return without_user(" ".join(str(error).split())) or type(error).__name__


def without_user(text: str) -> str:
    """Return a text whose addresses name no user and no password."""
    return _USER.sub("", text)
