"""Known causes of failure → what to do about them, in plain words."""

from __future__ import annotations

import re

_OF_THE_SERVICE = (
    (
        (
            r"(?<!image )\bmanifest\b.*\b(invalid|malformed|not valid|pars(e|ed|ing)|JSON)\b|"
            r"\b(invalid|malformed|pars(e|ed|ing))\b.*\b(input|augmented|dataset) manifest\b|"
            r"\b(invalid|malformed|pars(e|ed|ing)) ((the|your) )?manifest\b"
        ),
        (
            "The manifest can't be read. Each of its lines has to be one JSON object, with `source-ref` (an S3 address) "
            "or `source` (the text itself)."
        ),
    ),
    (
        r"label category config|label categories",
        (
            "The file of --label_category_config does not fit. It is a JSON object with `document-version` and a list of "
            "different `labels`, at least two of them for classification."
        ),
    ),
    (
        r"lambda (function|execution|invocation)|arn:aws[a-z-]*:lambda:",
        (
            "A Lambda function of the task failed, or may not be called. Look into its own log, and grant the execution "
            "role (--role) lambda:InvokeFunction on it."
        ),
    ),
    (
        r"labeling job.*30 days|(tasks?|labeling job).*expired",
        "Nobody labeled in time. Look whether the team sees its tasks, and start the job again for what is left.",
    ),
    (
        r"access ?denied|not authorized|AssumeRole|does not have permission|lacks? .*permission",
        (
            "The execution role (--role) lacks a permission. Grant it read access to the inputs, write "
            "access to the output path and pull access to the image, and let sagemaker.amazonaws.com assume "
            "it."
        ),
    ),
    (
        (
            r"no s3 objects? found|could not find model data|model data\b.*\bnot found|"
            r"does not (contain|match) any|no such key|NoSuchKey"
        ),
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
            r"(?<![\w./-])(repository|image|tag|manifest(?= for ))\b(?!\.\w).*\b(does not exist|not found|cannot find|"
            r"(unable to|cannot|could not) (be )?pull(ed)?)\b|"
            r"\bmanifest unknown\b|"
            r"\b(cannot|can't|could not|unable to|failed to) (find|pull)\b.*(?<![\w./-])(repository|image)\b(?!\.\w)"
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
        r"ResourceLimitExceeded|service limit|quota|account-level",
        (
            "The account's quota is used up. Ask for more in the Service Quotas console, or use another "
            "instance type."
        ),
    ),
)
"""What only the service's own reasons tell: the job's code speaks of keys, images and quotas, too, and means others."""
_OF_ANY = (
    (
        r"algorithm: 413|payload.*(too large|exceed)|(too large|exceeds?).*(payload|MaxPayload)",
        "A request is larger than the job or its model takes. Set --split_type Line, or raise --max_payload.",
    ),
    (
        r"did not respond to /?(invocations|ping)|algorithm: 5\d\d|model server",
        (
            "The model did not answer, or with an error. Its last log lines say why; where they tell of time or memory, "
            "lower --max_concurrent or --max_payload, or use a larger instance type."
        ),
    ),
    (
        r"See job logs",
        "The job's own code, or what it was sent, is the cause. The last log lines say why.",
    ),
    (
        r"ping health check",
        (
            "The container does not answer GET /ping on port 8080 with 200 in time. Its log says why; a larger instance "
            "type may load the model faster."
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


_ADDRESS = re.compile(r"\b[a-z][a-z0-9]*://[^\s\"'`,;]+", re.IGNORECASE)
"""What an address is made of are the user's own words, and tells nothing of the cause."""


def hint(reason: str) -> str:
    """Return what to do about a failure reason; nothing where the cause is not a known one."""
    of_the_code = reason.startswith("AlgorithmError")
    reason = _ADDRESS.sub("…", reason)
    for pattern, advice in _OF_ANY if of_the_code else (*_OF_THE_SERVICE, *_OF_ANY):
        if re.search(pattern, reason, re.IGNORECASE | re.DOTALL):
            return advice
    return ""
