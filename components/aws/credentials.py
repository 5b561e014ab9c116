"""Credentials: those of an assumed role, and how long expired ones may go on being refused."""

from __future__ import annotations

import time
from functools import partial

from aiobotocore.credentials import (
    AioAssumeRoleCredentialFetcher,
    AioCredentialResolver,
    AioCredentials,
    AioDeferredRefreshableCredentials,
    AioRefreshableCredentials,
)
from aiobotocore.session import AioSession
from botocore.exceptions import NoCredentialsError

from components.aws.errors import Expired, Renewing

EXPIRY_PATIENCE = 120.0
"""Seconds that expired credentials may go on being refused before that counts as final: they may be under renewal."""
ROLE_SECONDS = 3600


async def assuming(session: AioSession, role: str, region: str) -> AioSession:
    """Return a session with a role's credentials, which it asks for with another session's, and renews."""
    source = await session.get_credentials()
    if source is None:
        raise NoCredentialsError
    fetcher = AioAssumeRoleCredentialFetcher(
        client_creator=partial(session.create_client, region_name=region),
        source_credentials=source,
        role_arn=role,
        extra_args={"RoleSessionName": f"kfp-runner-{int(time.time())}", "DurationSeconds": ROLE_SECONDS},
        cache={},
    )
    assumed = AioDeferredRefreshableCredentials(refresh_using=fetcher.fetch_credentials, method="assume-role")
    other = AioSession()
    other.register_component("credential_provider", AioCredentialResolver([_Fixed(assumed)]))
    return other


class _Fixed:
    """A credential provider that has been given its answer."""

    METHOD = "assume-role"
    CANONICAL_NAME = "kfp-runner"

    def __init__(self, credentials: AioDeferredRefreshableCredentials) -> None:
        self._credentials = credentials

    async def load(self) -> AioDeferredRefreshableCredentials:
        return self._credentials


class Expiry:
    """Knows since when a session's credentials have been refused as expired."""

    def __init__(self) -> None:
        self._since: float | None = None

    def over(self) -> None:
        """Note that they were taken."""
        self._since = None

    def judged(self, error: Expired, credentials: AioCredentials | None) -> Exception:
        """Return what a refusal means: they may be under renewal; only those that stay expired are refused for good."""
        now = time.monotonic()
        self._since = self._since or now
        if isinstance(credentials, AioRefreshableCredentials) or now - self._since < EXPIRY_PATIENCE:
            return Renewing(str(error))
        return error
