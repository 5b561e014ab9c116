"""A fake AWS on loopback that records what it's asked, and answers as if all had gone well.

    async with recorder() as aws:
        ...  # a client whose endpoint is aws.url
    assert [call.operation for call in aws.mutations] == ["CreateTrainingJob"]

It serves what recorded cases need. SageMaker: `Create*` gives an ARN, `Describe*` says the thing has ended well
and echoes its request; AddTags and ListTags. CloudWatch Logs: the group never exists. STS: AssumeRole. All else
is answered with 400. Nothing is executed; for a cloud that really runs jobs, see the embedded one.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

Body = Mapping[str, Any]

ACCOUNT = "123456789012"
ASSUMED_KEY = "ASIAASSUMEDROLE00000"
"""The access key that AssumeRole hands out; who signs with it has assumed the role."""

READS = ("Describe", "List", "Get", "Filter", "Search", "StartLiveTail", "AssumeRole")
ENDED = {
    "Endpoint": {"EndpointStatus": "InService"},
    "EndpointConfig": {},
    "HyperParameterTuningJob": {"HyperParameterTuningJobStatus": "Completed"},
    "LabelingJob": {"LabelingJobStatus": "Completed"},
    "Model": {},
    "ProcessingJob": {"ProcessingJobStatus": "Completed"},
    "TrainingJob": {"TrainingJobStatus": "Completed", "SecondaryStatus": "Completed"},
    "TransformJob": {"TransformJobStatus": "Completed"},
    "Workteam": {},
}
"""The kinds of things that can be made, and what describing one of them says beside its request."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request as it came, and the HTTP status it was answered with."""

    service: str
    operation: str
    request: Body
    status: int
    access_key: str = ""

    @property
    def mutates(self) -> bool:
        """Whether the call asks to change something."""
        return not self.operation.startswith(READS)


class Refused(Exception):
    """An error answer: its AWS code and text."""

    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(message)
        self.code = code


@dataclass
class Recorder:
    """The fake's books."""

    url: str = ""
    region: str = "us-east-1"
    calls: list[Call] = field(default_factory=list)
    things: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    tags: dict[str, list[Body]] = field(default_factory=dict)
    drawn: Body = field(default_factory=dict)
    """What the next tuning job finds, as its outputs best_job_name and best_hyperparameters: it draws by lot."""

    @property
    def mutations(self) -> list[Call]:
        """The calls that ask to change something, in order."""
        return [call for call in self.calls if call.mutates]

    def prepare(self, calls: Iterable[Body]) -> None:
        """Carry out the calls that a case says were made before; they aren't recorded."""
        for call in calls:
            self.sagemaker(call["operation"], call["request"])

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one request and record it."""
        service, operation, body = _parse(request.headers.get("X-Amz-Target", ""), await request.text())
        try:
            if service == "STS":
                response = web.Response(text=_sts(operation, body), content_type="text/xml")
            else:
                response = _json(200, self._answer(service, operation, body))
        except Refused as error:
            response = _json(400, {"__type": error.code, "message": str(error)})
            response.headers["x-amzn-errortype"] = error.code
        signed = re.search(r"Credential=([^/]+)/", request.headers.get("Authorization", ""))
        self.calls.append(Call(service, operation, body, response.status, signed[1] if signed else ""))
        return response

    def _answer(self, service: str, operation: str, body: Body) -> Body:
        if service == "SageMaker":
            return self.sagemaker(operation, body)
        if service == "Logs_20140328" and operation.startswith(READS):
            raise Refused("ResourceNotFoundException", "The specified log group does not exist.")
        raise Refused("UnknownOperationException", f"the recorder does not know {service} {operation}")

    def sagemaker(self, operation: str, body: Body) -> Body:
        """Carry out one SageMaker operation."""
        special: Callable[[Body], Body] | None = getattr(self, f"_{operation}", None)
        if special is not None:
            return special(body)
        match = re.fullmatch(r"(Create|Describe|Update|Delete|Stop)(\w+)", operation)
        if match is None or match[2] not in ENDED:
            raise Refused("UnknownOperationException", f"the recorder does not know SageMaker {operation}")
        verb, kind = match[1], match[2]
        key = kind, body[f"{kind}Name"]
        if verb == "Create":
            return self._create(key, body)
        if key not in self.things:
            raise Refused("ValidationException", "Requested resource not found.")
        if verb == "Describe":
            return self.things[key]
        if verb == "Delete":
            del self.things[key]
        if verb == "Update":
            self.things[key].update(body)
        return {f"{kind}Arn": self.arn(*key)} if verb == "Update" else {}

    def arn(self, kind: str, name: str) -> str:
        """Return the ARN of a thing."""
        noun = re.sub(r"(?<!^)(?=[A-Z])", "-", kind).lower()
        return f"arn:aws:sagemaker:{self.region}:{ACCOUNT}:{noun}/{name}"

    def _create(self, key: tuple[str, str], body: Body) -> Body:
        kind, name = key
        arn, now = self.arn(*key), time.time()
        if key in self.things:
            raise Refused("ResourceInUse", f"a thing with this name already exists ({arn})")
        times = {"CreationTime": now, "LastModifiedTime": now}
        self.things[key] = {**body, f"{kind}Arn": arn, **times, **ENDED[kind]}
        if kind == "TrainingJob":
            self.things[key].update(_trained(name, body, now))
        if kind == "LabelingJob":
            self.things[key].update(_labeled(name, body))
        if kind == "Workteam":
            self.things[key].update(SubDomain=f"{name}.labeling.{self.region}.sagemaker.aws", CreateDate=now)
        if kind == "HyperParameterTuningJob":
            self._tune(key, body, now)
        self.tags[arn] = list(body.get("Tags") or [])
        return {f"{kind}Arn": arn}

    def _tune(self, key: tuple[str, str], body: Body, now: float) -> None:
        """Have a tuning job end with one training job, which is the best."""
        name = self.drawn.get("best_job_name", f"{key[1]}-001-0f21ddb6")
        definition = dict(body["TrainingJobDefinition"])
        sought = body["HyperParameterTuningJobConfig"]["HyperParameterTuningJobObjective"]
        static = {"_tuning_objective_metric": sought["MetricName"], **definition.pop("StaticHyperParameters")}
        found = json.loads(self.drawn.get("best_hyperparameters", "{}"))
        self.things["TrainingJob", name] = {
            **definition,
            "TrainingJobName": name,
            "TrainingJobArn": self.arn("TrainingJob", name),
            "HyperParameters": {**static, **found},
            "CreationTime": now,
            **ENDED["TrainingJob"],
            **_trained(name, definition, now),
        }
        summary = {
            "TrainingJobName": name,
            "TrainingJobArn": self.arn("TrainingJob", name),
            "TrainingJobStatus": "Completed",
            "CreationTime": now,
            "TrainingEndTime": now,
            "TunedHyperParameters": {k: v for k, v in found.items() if k not in static},
            "ObjectiveStatus": "Succeeded",
            "FinalHyperParameterTuningJobObjectiveMetric": {**sought, "Value": 0.5},
        }
        self.things[key] |= {
            "BestTrainingJob": summary,
            "TrainingJobStatusCounters": {"Completed": 1, "InProgress": 0},
            "ObjectiveStatusCounters": {"Succeeded": 1, "Pending": 0, "Failed": 0},
        }

    def _ListTrainingJobsForHyperParameterTuningJob(self, body: Body) -> Body:  # noqa: N802
        key = "HyperParameterTuningJob", body["HyperParameterTuningJobName"]
        if key not in self.things:
            raise Refused("ResourceNotFound", "Requested resource not found.")
        return {"TrainingJobSummaries": [self.things[key]["BestTrainingJob"]]}

    def _AddTags(self, body: Body) -> Body:  # noqa: N802  the operation's name
        self.tags.setdefault(body["ResourceArn"], []).extend(body["Tags"])
        return {"Tags": self.tags[body["ResourceArn"]]}

    def _ListTags(self, body: Body) -> Body:  # noqa: N802
        return {"Tags": self.tags.get(body["ResourceArn"], [])}

    def _DescribeWorkteam(self, body: Body) -> Body:  # noqa: N802
        key = "Workteam", body["WorkteamName"]
        if key not in self.things:
            raise Refused("ValidationException", "Requested resource not found.")
        return {"Workteam": self.things[key]}

    def _DescribeAlgorithm(self, body: Body) -> Body:  # noqa: N802
        name = body["AlgorithmName"]
        image = {"TrainingImage": f"fake.dkr.ecr/{name}:1"}
        return {"AlgorithmName": name, "AlgorithmStatus": "Completed", "TrainingSpecification": image}


@asynccontextmanager
async def recorder(region: str = "us-east-1") -> AsyncIterator[Recorder]:
    """Serve a fresh recorder on a free port of loopback."""
    books = Recorder(region=region)
    app = web.Application(client_max_size=16 * 2**20)
    app.router.add_route("*", "/{path:.*}", books.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        books.url = f"http://{host}:{port}"
        yield books
    finally:
        await runner.cleanup()


def _parse(target: str, text: str) -> tuple[str, str, Body]:
    """Return service, operation and body, of the JSON protocol if there is a target, else of the query one."""
    if target:
        service, _, operation = target.partition(".")
        return service, operation, json.loads(text or "{}")
    form = dict(parse_qsl(text, keep_blank_values=True))
    return "STS" if form.get("Version") == "2011-06-15" else "", form.get("Action", ""), form


def _json(status: int, body: Body) -> web.Response:
    return web.json_response(body, status=status, content_type="application/x-amz-json-1.1")


def _trained(name: str, body: Body, now: float) -> Body:
    """What describing a training job says once it has ended well."""
    bucket = body["OutputDataConfig"]["S3OutputPath"].rstrip("/")
    stages = ("Starting", "Downloading", "Training", "Uploading", "Completed")
    rules = [
        {"RuleConfigurationName": rule["RuleConfigurationName"], "RuleEvaluationStatus": "NoIssuesFound"}
        for rule in body.get("DebugRuleConfigurations", [])
    ]
    answer = {
        "ModelArtifacts": {"S3ModelArtifacts": f"{bucket}/{name}/output/model.tar.gz"},
        "TrainingStartTime": now,
        "TrainingEndTime": now,
        "TrainingTimeInSeconds": 20,
        "BillableTimeInSeconds": 20,
        "SecondaryStatusTransitions": [
            {"Status": stage, "StartTime": now, "EndTime": now, "StatusMessage": stage} for stage in stages
        ],
    }
    return {**answer, "DebugRuleEvaluationStatuses": rules} if rules else answer


def _labeled(name: str, body: Body) -> Body:
    """What describing a labeling job says once it has ended well."""
    bucket = body["OutputConfig"]["S3OutputPath"].rstrip("/")
    output = {"OutputDatasetS3Uri": f"{bucket}/{name}/manifests/output/output.manifest"}
    if "LabelingJobAlgorithmsConfig" in body:
        package = f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:model-package/al-{name}"
        output["FinalActiveLearningModelArn"] = package
    counters = {"TotalLabeled": 10, "HumanLabeled": 10, "MachineLabeled": 0}
    return {
        "LabelCounters": {**counters, "FailedNonRetryableError": 0, "Unlabeled": 0},
        "LabelingJobOutput": output,
        "JobReferenceCode": "1",
    }


def _sts(operation: str, body: Body) -> str:
    if operation != "AssumeRole":
        raise Refused("InvalidAction", f"the recorder does not know STS {operation}")
    expires = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
    return f"""<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult>
<Credentials><AccessKeyId>{ASSUMED_KEY}</AccessKeyId><SecretAccessKey>secret</SecretAccessKey>
<SessionToken>token</SessionToken><Expiration>{expires}</Expiration></Credentials>
<AssumedRoleUser><AssumedRoleId>AROA:step</AssumedRoleId><Arn>{body["RoleArn"]}</Arn></AssumedRoleUser>
</AssumeRoleResult><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></AssumeRoleResponse>"""
