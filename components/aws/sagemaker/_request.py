"""What the requests of all kinds of job have in common. Pure: inputs in, plain data out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from components.aws.sagemaker._api import Kind
from runner.errors import InputError
from runner.identity import OWNER_TAG, RUN_TAG, Identity

MOST_TAGS, LONGEST_KEY, LONGEST_VALUE = 50, 128, 256


def key_value_tags(tags: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return tags as the API takes them, in the mapping's order. Raises `InputError`."""
    made = [{"Key": str(key), "Value": str(value)} for key, value in tags.items()]
    wrong = [f"{tag['Key'][:40]!r} {reason}" for tag in made if (reason := _wrong_tag(**tag))]
    if len(made) > MOST_TAGS:
        wrong.append(f"{len(made)} tags are too many; {MOST_TAGS} are possible")
    if wrong:
        raise InputError(f"--tags: {'; '.join(wrong)}")
    return made


def _wrong_tag(Key: str, Value: str) -> str:  # noqa: N803  the API's words
    if Key.lower().startswith("aws:"):
        return "begins with aws:, which is kept for AWS"
    if Key in (OWNER_TAG, RUN_TAG):
        return "is a tag by which kfp-runner knows its jobs; use another key"
    if not 0 < len(Key) <= LONGEST_KEY:
        return f"is a key of {len(Key)} characters; 1 to {LONGEST_KEY} are possible"
    if len(Value) > LONGEST_VALUE:
        return f"has a value of {len(Value)} characters; {LONGEST_VALUE} are possible"
    return ""


def vpc(security_groups: str, subnets: str) -> dict[str, Any]:
    """Return the VpcConfig member, or nothing; each argument is a list separated by commas."""
    if bool(security_groups) != bool(subnets):
        given, lacking = (
            ("vpc_security_group_ids", "vpc_subnets")
            if security_groups
            else ("vpc_subnets", "vpc_security_group_ids")
        )
        raise InputError(
            f"--{given} is {security_groups or subnets!r}, but --{lacking} is blank; a VPC needs both"
        )
    if not subnets:
        return {}
    return {"VpcConfig": {"SecurityGroupIds": _listed(security_groups), "Subnets": _listed(subnets)}}


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def blank_dropped(**members: Any) -> dict[str, Any]:  # noqa: ANN401  plain data
    """Return the members that are not blank."""
    return {name: value for name, value in members.items() if value}


def identified(kind: Kind, body: dict[str, Any], identity: Identity) -> dict[str, Any]:
    """Give a request its name, and in a pipeline run the tags by which the step knows its job again."""
    owner = identity.owner(body)
    name = body[kind.name_key] or identity.name(kind.prefix, owner, kind.limit)
    if not re.fullmatch(r"[a-zA-Z0-9](-*[a-zA-Z0-9])*", name) or len(name) > kind.limit:
        raise InputError(
            f"--{kind.argument} is {name!r}, which SageMaker does not take; use at most {kind.limit} letters, digits and "
            "single hyphens, beginning and ending with a letter or digit"
        )
    if owner:
        body["Tags"] = [
            *body.get("Tags", ()),
            {"Key": RUN_TAG, "Value": identity.run_id},
            {"Key": OWNER_TAG, "Value": owner},
        ]
    body[kind.name_key] = name
    return body
