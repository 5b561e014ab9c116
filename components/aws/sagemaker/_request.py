"""What the requests of all kinds of job have in common. Pure: inputs in, plain data out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from components.aws.sagemaker._api import Kind
from runner.errors import InputError
from runner.identity import OUR_TAGS, OWNER_TAG, RUN_TAG, Identity

MOST_TAGS, LONGEST_KEY, LONGEST_VALUE = 50, 128, 256


def key_value_tags(tags: Mapping[str, Any], argument: str = "tags") -> list[dict[str, str]]:
    """Return tags as the API takes them, in the mapping's order. Raises `InputError`."""
    refuse(wrong_tags(tags, argument))
    return [{"Key": str(key), "Value": str(value)} for key, value in tags.items()]


def refuse(wrong: Iterable[str]) -> None:
    """Raise `InputError` if there are sentences on what is wrong."""
    if told := "; ".join(wrong):
        raise InputError(told)


def wrong_tags(tags: Mapping[str, Any], argument: str = "tags") -> Iterator[str]:
    """Say what is wrong with the tags of an argument."""
    told = [
        f"{str(key)[:40]!r} {reason}"
        for key, value in tags.items()
        if (reason := _wrong_tag(str(key), str(value)))
    ]
    if len(tags) > MOST_TAGS:
        told.append(f"{len(tags)} tags are too many; {MOST_TAGS} are possible")
    if told:
        yield f"--{argument}: {'; '.join(told)}"


def _wrong_tag(key: str, value: str) -> str:
    if key.lower().startswith("aws:"):
        return "begins with aws:, which is kept for AWS"
    if key.startswith(OUR_TAGS):
        return "is a tag by which kfp-runner knows its jobs; use another key"
    if not 0 < len(key) <= LONGEST_KEY:
        return f"is a key of {len(key)} characters; 1 to {LONGEST_KEY} are possible"
    if len(value) > LONGEST_VALUE:
        return f"has a value of {len(value)} characters; {LONGEST_VALUE} are possible"
    return ""


def vpc(security_groups: str, subnets: str) -> dict[str, Any]:
    """Return the VpcConfig member, or nothing; each argument is a list separated by commas. Raises `InputError`."""
    refuse(wrong_vpc(security_groups, subnets))
    if not subnets:
        return {}
    return {"VpcConfig": {"SecurityGroupIds": _listed(security_groups), "Subnets": _listed(subnets)}}


def wrong_vpc(security_groups: str, subnets: str) -> Iterator[str]:
    """Say that of the two arguments one is lacking."""
    if bool(security_groups) != bool(subnets):
        given, lacking = (
            ("vpc_security_group_ids", "vpc_subnets")
            if security_groups
            else ("vpc_subnets", "vpc_security_group_ids")
        )
        yield f"--{given} is {security_groups or subnets!r}, but --{lacking} is blank; a VPC needs both"


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def blank_dropped(**members: Any) -> dict[str, Any]:  # noqa: ANN401  plain data
    """Return the members that are not blank."""
    return {name: value for name, value in members.items() if value}


def wrong_name(kind: Kind, name: str) -> Iterator[str]:
    """Say what is wrong with a name that was chosen; a blank one is generated."""
    if name and (len(name) > kind.limit or not _NAME.fullmatch(name)):
        yield (
            f"--{kind.argument} is {name!r}, which SageMaker does not take; use at most {kind.limit} letters, digits and "
            "single hyphens, beginning and ending with a letter or digit"
        )


_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9])*")


def identified(kind: Kind, body: dict[str, Any], identity: Identity) -> dict[str, Any]:
    """Give a request its name, and in a pipeline run the tags by which the step knows its job again.

    Raises `InputError` for a name that is not possible.
    """
    owner = identity.owner(body)
    name = body[kind.name_key] or identity.name(kind.prefix, owner, kind.limit)
    refuse(wrong_name(kind, name))
    if owner:
        body["Tags"] = [
            *body.get("Tags", ()),
            {"Key": RUN_TAG, "Value": identity.run_id},
            {"Key": OWNER_TAG, "Value": owner},
        ]
    body[kind.name_key] = name
    return body
