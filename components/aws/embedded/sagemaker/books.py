"""The service's books: all records of one kind, by region and name, as every kind of resource is kept and listed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Generic, Protocol, TypeVar

from components.aws.embedded.errors import ApiError, invalid, not_implemented

Json = dict[str, Any]
PAGE = 10
"""Rows of a page of a List operation unless MaxResults says otherwise."""


class Record(Protocol):
    """What every kind of resource has. Times are seconds since the Unix epoch."""

    region: str
    tags: dict[str, str]
    created: float
    modified: float

    @property
    def name(self) -> str:
        """The name it is known by, unique within its kind and region."""
        ...

    @property
    def arn(self) -> str:
        """Its ARN."""
        ...

    @property
    def status(self) -> str:
        """The service's word for its state; empty for what has none."""
        ...

    def summary(self) -> Json:
        """As in List."""
        ...

    def description(self) -> Json:
        """As in Describe."""
        ...


R = TypeVar("R", bound=Record)
Row = TypeVar("Row")


class Books(Generic[R]):
    """All records of one kind. Iterating yields them in the order of their making."""

    def __init__(self, taken: Callable[[R], ApiError]) -> None:
        """`taken` makes the service's refusal of a name that a record has already; kinds word it differently."""
        self._taken = taken
        self._records: dict[tuple[str, str], R] = {}
        self._arns: dict[str, R] = {}

    def __iter__(self) -> Iterator[R]:
        return iter(list(self._records.values()))

    def refuse_namesake(self, region: str, name: str) -> None:
        """Raise `ApiError` if there is a record of that name."""
        if record := self._records.get((region, name)):
            raise self._taken(record)

    def add(self, record: R) -> None:
        """Enter a record. Raises `ApiError` if its name is in use, or one that differs in case where ARNs do not."""
        self.refuse_namesake(record.region, record.name)
        if twin := self._arns.get(record.arn):
            raise self._taken(twin)
        self._records[record.region, record.name] = self._arns[record.arn] = record

    def remove(self, record: R) -> None:
        """Strike a record out; its name is free again."""
        self._records.pop((record.region, record.name), None)
        self._arns.pop(record.arn, None)

    def get(self, region: str, name: str) -> R | None:
        """Return a record, or None."""
        return self._records.get((region, name))

    def find(self, region: str, name: str) -> R:
        """Return a record. Raises `ApiError`, as SageMaker's jobs do: kinds with other words use `get`."""
        record = self.get(region, name)
        if record is None:
            raise invalid("Requested resource not found.")
        return record

    def listed(self, body: Json, region: str, key: str) -> Json:
        """Answer a List operation: filtered by NameContains, StatusEquals and times; sorted; a page of it under `key`.

        The order is by creation, newest first, unless the request says otherwise; Labeling and Workteams sort upward by
        default, which the caller tells by putting SortOrder into the body.
        """
        records = [record for record in self if record.region == region and _wanted(record, body)]
        return paged(ordered(records, body), body, key, lambda record: record.summary())


_SORT_KEYS: dict[str, Callable[[Any], Any]] = {
    "Name": lambda record: record.name,
    "CreationTime": lambda record: record.created,
    "CreateDate": lambda record: record.created,
    "LastModifiedTime": lambda record: record.modified,
    "Status": lambda record: record.status,
}


def ordered(records: list[R], body: Json) -> list[R]:
    """Return records in the order of SortBy and SortOrder. Raises `ApiError` for an order that is not known here."""
    by = body.get("SortBy", "CreationTime")
    if by not in _SORT_KEYS:
        raise not_implemented(f"SortBy {by}")
    descending = body.get("SortOrder", "Descending") == "Descending"
    return sorted(records, key=_SORT_KEYS[by], reverse=descending)


def paged(
    records: list[Row], body: Json, key: str, shown: Callable[[Row], Json], default: int = PAGE
) -> Json:
    """Answer one page: `NextToken` says where it begins, `MaxResults` how long it is."""
    begin, size = _number(body.get("NextToken")), body.get("MaxResults", default)
    answer: Json = {key: [shown(record) for record in records[begin : begin + size]]}
    return answer | ({"NextToken": str(begin + size)} if begin + size < len(records) else {})


def _wanted(record: Record, body: Json) -> bool:
    bounds = (
        (record.created, body.get("CreationTimeAfter"), body.get("CreationTimeBefore")),
        (record.modified, body.get("LastModifiedTimeAfter"), body.get("LastModifiedTimeBefore")),
    )
    return (
        body.get("NameContains", "").lower() in record.name.lower()
        and body.get("StatusEquals", record.status) == record.status
        and all((low is None or time >= low) and (high is None or time <= high) for time, low, high in bounds)
    )


def _number(token: str | None) -> int:
    if token is not None and not (token.isascii() and token.isdecimal() and len(token) < 10):
        raise invalid("Invalid NextToken.")
    return int(token or 0)
