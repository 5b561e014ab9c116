"""Addresses of the AWS console's pages, by partition."""

from __future__ import annotations

from urllib.parse import quote

_HOSTS = {"cn-": "console.amazonaws.cn", "us-gov-": "console.amazonaws-us-gov.com"}


def _host(region: str) -> str:
    for prefix, host in _HOSTS.items():
        if region.startswith(prefix):
            return host
    return f"{region}.console.aws.amazon.com"


def sagemaker(region: str, page: str, name: str) -> str:
    """Return the page of a SageMaker resource; `page` is its kind's word in the console's address (`jobs`)."""
    return f"https://{_host(region)}/sagemaker/home?region={region}#/{page}/{quote(name)}"


def logs(region: str, group: str, prefix: str) -> str:
    """Return the page that lists a log group's streams with a prefix. The console escapes its fragment twice."""
    twice = quote(quote(group, safe=""), safe="").replace("%", "$")
    stream = quote("?logStreamNameFilter=", safe="").replace("%", "$") + quote(
        quote(prefix, safe=""), safe=""
    ).replace("%", "$")
    return (
        f"https://{_host(region)}/cloudwatch/home?region={region}#logsV2:log-groups/log-group/{twice}{stream}"
    )
