"""Ground Truth's built-in tasks, its workforces and its prices: what the service's own ARNs and numbers are made of.

Sources: the API reference of HumanTaskConfig (functions, by region), LabelingJobAlgorithmsConfig (algorithms) and
PublicWorkforceTaskPrice. Importing this imports no cloud.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from runner.errors import InputError

CUSTOM = "custom"
FUNCTIONS = {
    "bounding box": "BoundingBox",
    "image classification": "ImageMultiClass",
    "semantic segmentation": "SemanticSegmentation",
    "text classification": "TextMultiClass",
}
"""Built-in task → what the names of its two functions end with."""
ALGORITHMS = {
    "bounding box": "object-detection",
    "image classification": "image-classification",
    "semantic segmentation": "semantic-segmentation",
    "text classification": "text-classification",
}
"""Built-in task → the algorithm that labels by itself."""
FUNCTION_ACCOUNTS = {
    "us-east-1": "432418664414",
    "us-east-2": "266458841044",
    "us-west-2": "081040173940",
    "ca-central-1": "918755190332",
    "eu-west-1": "568282634449",
    "eu-west-2": "487402164563",
    "eu-central-1": "203001061592",
    "ap-northeast-1": "477331159723",
    "ap-northeast-2": "845288260483",
    "ap-south-1": "565803892007",
    "ap-southeast-1": "377565633583",
    "ap-southeast-2": "454466003867",
}
"""Region → the account of the built-in tasks' functions; the reference lists no other region."""
ALGORITHM_ACCOUNT = "027400017018"
CROWD_ACCOUNT = "394669845002"
DOLLARS = 2
"""The most whole dollars of a price."""


def functions(task: str, region: str) -> tuple[str, str]:
    """Return the ARNs of a built-in task's functions: before a person sees an object, and after. Raises `InputError`."""
    account = FUNCTION_ACCOUNTS.get(region)
    if account is None:
        raise InputError(
            f"--region is {region!r}, where Ground Truth has no built-in tasks; use one of {', '.join(FUNCTION_ACCOUNTS)}, "
            f"or --task_type {CUSTOM} with functions of your own"
        )
    prefix = f"arn:aws:lambda:{region}:{account}:function"
    return f"{prefix}:PRE-{FUNCTIONS[task]}", f"{prefix}:ACS-{FUNCTIONS[task]}"


def algorithm(task: str, region: str) -> str:
    """Return the ARN of the algorithm that labels a built-in task's objects by itself."""
    kind = "labeling-job-algorithm-specification"
    return f"arn:aws:sagemaker:{region}:{ALGORITHM_ACCOUNT}:{kind}/{ALGORITHMS[task]}"


def public_crowd(region: str) -> str:
    """Return the ARN of the work team that is Amazon Mechanical Turk."""
    return f"arn:aws:sagemaker:{region}:{CROWD_ACCOUNT}:workteam/public-crowd/default"


def price(text: str) -> dict[str, int]:
    """Return a price in US dollars (`0.036`) as the API's USD object, exactly. Raises `InputError`."""
    argument = f"--workforce_task_price is {text[:40]!r}"
    try:
        amount = Decimal(text.strip())
    except InvalidOperation:
        raise InputError(f"{argument}, which is not a number; write dollars such as 0.036") from None
    if not amount.is_finite() or amount < 0:
        raise InputError(f"{argument}, which is no price; write dollars such as 0.036")
    if amount >= DOLLARS + 1:
        raise InputError(f"{argument}, which is too much; less than {DOLLARS + 1} dollars are possible")
    tenths = amount * 1000
    if tenths != int(tenths):
        raise InputError(
            f"{argument}, which has more than three decimals; a tenth of a cent is the smallest part"
        )
    dollars, rest = divmod(int(tenths), 1000)
    cents, tenth = divmod(rest, 10)
    return {"Dollars": dollars, "Cents": cents, "TenthFractionsOfACent": tenth}
