"""Which operation a request means."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_ID = r"(?P<id>\d{1,18})"
_TABLE = tuple(
    (method, re.compile(path), operation)
    for method, path, operation in (
        ("GET", r"/(?P<service>api|gateway|monitoring|rootcause|visualization|stat)/buildinfo", "BuildInfo"),
        ("POST", r"/api/v2/model/upload", "Upload"),
        ("POST", r"/api/v2/externalmodel", "RegisterExternal"),
        ("GET", r"/api/v2/model", "ListModels"),
        ("GET", r"/api/v2/model/version", "ListVersions"),
        ("GET", rf"/api/v2/model/version/{_ID}/logs", "Logs"),
        ("GET", r"/api/v2/model/version/(?P<name>[^/]+)/(?P<number>\d{1,18})", "GetVersion"),
        ("GET", rf"/api/v2/model/{_ID}", "GetModel"),
        ("DELETE", rf"/api/v2/model/{_ID}", "DeleteModel"),
        ("GET", r"/api/v2/events", "Events"),
        ("POST", rf"/monitoring/profiles/batch/{_ID}", "UploadProfile"),
        ("POST", rf"/monitoring/profiles/batch/{_ID}/s3", "UploadProfileS3"),
        ("GET", rf"/monitoring/profiles/batch/{_ID}/status", "ProfileStatus"),
        ("GET", r"/monitoring/training_data", "TrainingData"),
    )
)
_KNOWN = re.compile(
    r"/api/v2/(application|servable|deployment_configuration|hostSelector|monitoring|runtime)(/.*)?"
    r"|/(gateway|monitoring|rootcause|visualization|stat)(/.*)?"
)


@dataclass(frozen=True, slots=True)
class Route:
    """What a request means."""

    operation: str
    """Empty if there is no such operation."""
    given: Mapping[str, str]
    """What stands in the path."""
    allowed: tuple[str, ...] = ()
    """The methods that the path is there for, if it is there."""
    known: bool = False
    """Whether Hydrosphere has this, though the embedded one does not."""


def find(method: str, path: str) -> Route:
    """Look a request up."""
    path = path.rstrip("/") or "/"
    allowed = []
    for each, pattern, operation in _TABLE:
        if match := pattern.fullmatch(path):
            if each == method:
                return Route(operation, match.groupdict())
            allowed.append(each)
    return Route("", {}, tuple(allowed), bool(_KNOWN.fullmatch(path)))
