"""Names and owner tags: deterministic within a run, the predecessor's outside one."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from itertools import combinations

import pytest

from runner.identity import Identity, nth

REQUEST = {"RoleArn": "arn:aws:iam::1:role/a", "HyperParameters": {"k": "10", "epochs": "3"}}
RUN = {"run_id": "8a2f", "step": "train"}


def owner(
    component: str = "aws.sagemaker.train", run_id: str = "8a2f", step: str = "train", **request: object
) -> str:
    return Identity(component, run_id, step).owner({**REQUEST, **request})


def test_a_restarted_step_has_the_same_owner_and_name() -> None:
    first, second = (Identity("aws.sagemaker.train", **RUN) for _ in range(2))
    assert first.suffix != second.suffix
    assert first.owner(REQUEST) == second.owner(REQUEST)
    assert first.name("TrainingJob", first.owner(REQUEST)) == second.name(
        "TrainingJob", second.owner(REQUEST)
    )


def test_the_owner_does_not_hang_on_the_order_of_the_request() -> None:
    turned = {key: REQUEST[key] for key in reversed(REQUEST)}
    turned["HyperParameters"] = {"epochs": "3", "k": "10"}
    identity = Identity("c", **RUN)
    assert identity.owner(turned) == identity.owner(REQUEST)


def test_the_owner_is_pinned() -> None:
    """A release that changed it would make running steps pay twice after their next restart."""
    assert (
        Identity("aws.sagemaker.train", "8a2f", "train").owner({"a": [1, None, "ä"]})
        == "7268a85c45063eac2ca750c8040c93bdd4841ee9"
    )


def test_another_run_step_component_or_request_is_another_owner() -> None:
    owners = [
        owner(),
        owner(run_id="8a2e"),
        owner(step="train-2"),
        owner(component="aws.sagemaker.process"),
        owner(HyperParameters={"k": "11"}),
        owner(RoleArn=""),
        owner(run_id="8a2ft", step="rain"),
    ]
    assert all(a != b for a, b in combinations(owners, 2))


def test_the_parallel_branches_of_a_loop_differ_by_their_request() -> None:
    names = {
        Identity("c", **RUN).name("TrainingJob", owner(HyperParameters={"k": str(k)})) for k in range(50)
    }
    assert len(names) == 50


def test_a_name_of_the_run_key_is_one_that_services_accept() -> None:
    assert re.fullmatch(r"TrainingJob-[0-9a-f]{20}", Identity("c", **RUN).name("TrainingJob", owner()))


def test_outside_a_run_there_is_no_owner() -> None:
    assert Identity("c", "", "train").owner(REQUEST) == ""


def test_outside_a_run_names_are_the_predecessors() -> None:
    """`Prefix-YYYYMMDDHHMMSS-XXXX`, the time in UTC."""
    name = Identity("c").name("TrainingJob", "")
    found = re.fullmatch(r"TrainingJob-(\d{14})-[A-Z0-9]{4}", name)
    assert found
    made = datetime.strptime(found[1], "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    assert abs(datetime.now(UTC) - made) < timedelta(minutes=1)


def test_one_identity_gives_one_name_two_give_two() -> None:
    identity = Identity("c")
    assert identity.name("Model", "") == identity.name("Model", "")
    assert len({Identity("c").name("Model", "") for _ in range(20)}) > 15


@pytest.mark.parametrize("limit", [63, 32, 20])
def test_of_a_long_name_the_last_characters_are_kept(limit: int) -> None:
    identity = Identity("c", suffix="20260131120000-AB12")
    name = identity.name("P" * 80, "", limit)
    assert len(name) == limit
    assert name == ("P" * 80 + "-20260131120000-AB12")[-limit:]


def test_the_environment_of_a_pipeline_step() -> None:
    environment = {"KFP_RUN_ID": "8a2f", "KFP_STEP_NAME": "train", "HOSTNAME": "pod-1"}
    identity = Identity.of_environment("c", environment)
    assert (identity.run_id, identity.step, identity.component) == ("8a2f", "train", "c")
    assert Identity.of_environment("c", {}).owner(REQUEST) == ""


def test_the_pod_has_no_part_in_it() -> None:
    owners = {
        Identity.of_environment("c", {"KFP_RUN_ID": "r", "HOSTNAME": host}).owner(REQUEST)
        for host in ("a", "b")
    }
    assert len(owners) == 1


def test_the_nth_name_of_a_step_that_is_retried() -> None:
    assert nth("TrainingJob-0123", 1) == "TrainingJob-0123"
    assert nth("TrainingJob-0123", 2) == "TrainingJob-0123-2"


@pytest.mark.parametrize("limit", [63, 32])
def test_the_nth_name_keeps_within_the_limit_and_stays_distinct(limit: int) -> None:
    names = [nth("x" * limit, n, limit) for n in range(1, 120)]
    assert {len(name) for name in names} == {limit}
    assert len(set(names)) == len(names)
