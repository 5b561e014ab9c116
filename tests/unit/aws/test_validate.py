"""What is refused before it is sent, by the service's own patterns and limits; and what an error may repeat of it."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.session import Session

from components.aws.sagemaker.train import component as train
from components.aws.validate import check
from runner.errors import InputError
from runner.identity import OWNER_TAG, RUN_TAG, Identity
from tests.unit.aws.test_train import CHANNEL, IDENTITY, body

SECRET = "hunter2"


@pytest.fixture(scope="module")
def create() -> Any:
    return Session().get_service_model("sagemaker").operation_model("CreateTrainingJob")


def channel(uri: str) -> list[dict[str, Any]]:
    source = {**CHANNEL["DataSource"]["S3DataSource"], "S3Uri": uri}  # type: ignore[index]
    return [{**CHANNEL, "DataSource": {"S3DataSource": source}}]


def refused(create: Any, **given: Any) -> str:
    with pytest.raises(InputError) as caught:
        check(create, body(**given), train.ARGUMENTS)
    assert caught.value.exit_code == 2
    return str(caught.value)


@pytest.mark.parametrize(
    ("given", "argument", "told"),
    [
        (
            {"role": "MySageMakerRoleOfThisAccount"},
            "role",
            "'MySageMakerRoleOfThisAccount', which does not match arn:",
        ),
        ({"model_artifact_path": "foo"}, "model_artifact_path", "'foo', which does not match (https|s3)://"),
        ({"channels": channel("not-s3")}, "channels", "S3Uri is 'not-s3', which does not match"),
        ({"channels": [CHANNEL] * 21}, "channels", "has 21 entries; at most 20"),
        ({"instance_count": 10**12}, "instance_count", "is 1000000000000, which is too large"),
        ({"volume_size": 2**31}, "volume_size", "is too large; at most 2147483647"),
        ({"max_run_time": 10**10}, "max_run_time", "is too large"),
        ({"image": "i" * 256}, "image", "has 256 characters; at most 255"),
        (
            {"image": "", "algorithm_name": "mine", "metric_definitions": {"m": "x" * 501}},
            "metric_definitions",
            "501",
        ),
        ({"output_encryption_key": "a b"}, "output_encryption_key", "'a b'"),
        ({"resource_encryption_key": "a b"}, "resource_encryption_key", "'a b'"),
        ({"vpc_subnets": "s", "vpc_security_group_ids": ","}, "vpc_security_group_ids", "min length: 1"),
        ({"vpc_subnets": "s_1", "vpc_security_group_ids": "g"}, "vpc_subnets", "'s_1'"),
        (
            {"hyperparameters": {"Tags": "x" * 2501}},
            "hyperparameters",
            "HyperParameters.Tags has 2501 characters",
        ),
        ({"hyperparameters": {"x" * 257: "1"}}, "hyperparameters", "(the key) has 257 characters"),
        (
            {"hyperparameters": {str(n): "1" for n in range(101)}},
            "hyperparameters",
            "101 entries; at most 100",
        ),
    ],
)
def test_what_the_service_would_refuse_is_told_with_what_it_takes(
    create: Any, given: dict[str, Any], argument: str, told: str
) -> None:
    text = refused(create, **given)
    assert text.startswith(f"--{argument}: ")
    assert told in text


@pytest.mark.parametrize(
    "given",
    [
        {"image": "", "algorithm_name": "unknown algorithm"},
        {"channels": [{**CHANNEL, "ContentType": ""}]},
        {"hyperparameters": {"text": "two\nlines", "blank": ""}},
        {"role": "arn:aws-cn:iam::123456789012:role/service-role/Step_1"},
        {"tags": {"Größe": "5 €"}},
    ],
)
def test_what_is_sent_as_it_is(create: Any, given: dict[str, Any]) -> None:
    check(create, body(**given), train.ARGUMENTS)


RULE = {"RuleConfigurationName": "r", "RuleEvaluatorImage": "i"}


@pytest.mark.parametrize(
    "given",
    [
        {"hyperparameters": {"k": SECRET * 500}},
        {"debug_rule_config": [{**RULE, "RuleParameters": {"k": [SECRET]}}]},
        {"debug_rule_config": [{**RULE, "RuleParameters": {"k": {"a": f"x\n{SECRET}\ny"}}}]},
        {"debug_rule_config": [{**RULE, "RuleParameters": {"k": SECRET * 500}}]},
    ],
)
def test_the_users_own_values_are_not_repeated(create: Any, given: dict[str, Any]) -> None:
    text = refused(create, **given)
    assert SECRET not in text
    assert ".k" in text


@pytest.mark.parametrize(
    ("value", "kind"), [(4711, "a number"), (4711.5, "a number"), (True, "a truth value"), ([4711], "a list")]
)
def test_a_hyperparameter_that_is_no_text_is_named_and_not_repeated(value: object, kind: str) -> None:
    with pytest.raises(InputError) as caught:
        body(hyperparameters={"k": value})
    assert str(caught.value) == f"--hyperparameters: the value of 'k' is {kind}, not text; put it in quotes"


def test_a_long_value_is_cut(create: Any) -> None:
    assert len(refused(create, model_artifact_path="x" * 1000)) < 200


# ── Tags ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("tags", "told"),
    [
        ({"aws:team": "a"}, "'aws:team' begins with aws:"),
        ({"AWS:team": "a"}, "'AWS:team' begins with aws:"),
        ({OWNER_TAG: "a"}, f"'{OWNER_TAG}' is a tag by which kfp-runner knows its jobs"),
        ({RUN_TAG: "a"}, f"'{RUN_TAG}' is a tag by which kfp-runner knows its jobs"),
        ({"": "a"}, "is a key of 0 characters"),
        ({"k" * 129: "a"}, "is a key of 129 characters; 1 to 128"),
        ({"k": "v" * 257}, "has a value of 257 characters; 256 are possible"),
        ({str(n): "" for n in range(51)}, "51 tags are too many; 50 are possible"),
    ],
)
def test_a_tag_that_can_not_be(tags: dict[str, str], told: str) -> None:
    with pytest.raises(InputError, match=r"^--tags: ") as caught:
        body(tags=tags)
    assert told in str(caught.value)


def test_tags_up_to_the_limits(create: Any) -> None:
    tags = {"k" * 128: "v" * 256, **{str(n): "" for n in range(49)}}
    check(create, body(IDENTITY, tags=tags), train.ARGUMENTS)


def test_ours_count_too(create: Any) -> None:
    keyed = Identity("aws.sagemaker.train", "run", "step")
    with pytest.raises(InputError, match=r"^--tags: Tags has 51 entries; at most 50"):
        check(create, body(keyed, tags={str(n): "" for n in range(49)}), train.ARGUMENTS)
