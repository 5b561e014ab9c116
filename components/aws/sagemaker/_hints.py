"""Known causes of failure → what to do about them, in plain words."""

from __future__ import annotations

import re

_NOT_OF_THE_CODE = r"(?s)^(?!AlgorithmError).*"
"""The job's own code speaks of images, tags and quotas, too, and means others."""
_HINTS = (
    (
        r"access ?denied|not authorized|AssumeRole|does not have permission|lacks? .*permission",
        (
            "The execution role (--role) lacks a permission. Grant it read access to the inputs, write "
            "access to the output path and pull access to the image, and let sagemaker.amazonaws.com assume "
            "it."
        ),
    ),
    (
        r"no s3 objects? found|does not (contain|match) any|no such key|NoSuchKey",
        (
            "There is no data under that S3 address. Compare the prefix with `aws s3 ls`; upper and lower case "
            "differ."
        ),
    ),
    (
        r"NoSuchBucket|bucket.*(does not exist|not exist)",
        "That bucket does not exist in this account and region. Check its name and --region.",
    ),
    (
        (
            _NOT_OF_THE_CODE + r"((repository|image|tag|manifest).*(does not exist|not found|cannot find|"
            r"unable to pull)|cannot find.*(repository|image))"
        ),
        (
            "The image can't be pulled. Check its name, tag and region, and that the execution role may read "
            "the repository."
        ),
    ),
    (
        (
            r"CapacityError|insufficient.*capacity|InsufficientInstanceCapacity|capacity.*(unavailable|"
            r"not available)"
        ),
        (
            "AWS has no such instance free at the moment. Try again later, or use another instance type or "
            "region."
        ),
    ),
    (
        _NOT_OF_THE_CODE + r"(ResourceLimitExceeded|service limit|quota|account-level)",
        (
            "The account's quota is used up. Ask for more in the Service Quotas console, or use another "
            "instance type."
        ),
    ),
    (
        r"MaxRuntimeExceeded|maximum runtime|max(imum)? run ?time",
        "The job ran into its time limit. Raise --max_run_time, or use faster instances.",
    ),
    (
        r"MaxWaitTimeExceeded|max(imum)? wait ?time",
        "No spot instance was free long enough. Raise --max_wait_time, or set --spot_instance False.",
    ),
    (
        r"out of memory|OutOfMemory|more memory|exit code:? 137",
        "The job ran out of memory. Use a larger instance type or a smaller batch.",
    ),
    (
        r"no space left on device|insufficient disk space",
        "The volume is full. Raise --volume_size.",
    ),
    (
        r"AlgorithmError|ExecuteUserScriptError|exit code",
        "The job's own code failed. Its last log lines say why.",
    ),
)


def hint(reason: str) -> str:
    """Return what to do about a failure reason; nothing where the cause is not a known one."""
    for pattern, advice in _HINTS:
        if re.search(pattern, reason, re.IGNORECASE):
            return advice
    return ""
