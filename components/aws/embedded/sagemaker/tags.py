"""Tags of whatever has an ARN: AddTags, ListTags, DeleteTags."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from components.aws.embedded.errors import ApiError, invalid
from components.aws.embedded.sagemaker.books import Record

Json = dict[str, Any]
MOST_TAGS = 50
_PAGE = 50


def of_request(request: Json) -> dict[str, str]:
    """Take the tags out of a Create request."""
    return {tag["Key"]: tag["Value"] for tag in request.pop("Tags", None) or ()}


class Tags:
    """The three operations, on all books together."""

    def __init__(self, books: Sequence[Iterable[Record]]) -> None:
        self._books = books
        self.operations = {"AddTags": self._add, "ListTags": self._list, "DeleteTags": self._delete}

    def _tagged(self, body: Json) -> Record:
        arn = body["ResourceArn"]
        found = [record for book in self._books for record in book if record.arn.lower() == arn.lower()]
        if not found:
            raise invalid("Requested resource not found.")
        # Where ARNs keep their case, two may differ in nothing else.
        return next((record for record in found if record.arn == arn), found[0])

    async def _add(self, body: Json, _: str) -> Json:
        record = self._tagged(body)
        tags = record.tags | {tag["Key"]: tag["Value"] for tag in body["Tags"]}
        if len(tags) > MOST_TAGS:
            raise ApiError("ResourceLimitExceeded", f"A resource can have at most {MOST_TAGS} tags.")
        record.tags = tags
        return {"Tags": _rows(record)}

    async def _list(self, body: Json, _: str) -> Json:
        rows = _rows(self._tagged(body))
        token, size = body.get("NextToken", "0"), body.get("MaxResults", _PAGE)
        if not (token.isascii() and token.isdecimal() and len(token) < 10):
            raise invalid("Invalid NextToken.")
        begin = int(token)
        answer: Json = {"Tags": rows[begin : begin + size]}
        return answer | ({"NextToken": str(begin + size)} if begin + size < len(rows) else {})

    async def _delete(self, body: Json, _: str) -> Json:
        record = self._tagged(body)
        record.tags = {key: value for key, value in record.tags.items() if key not in body["TagKeys"]}
        return {}


def _rows(record: Record) -> list[Json]:
    return [{"Key": key, "Value": value} for key, value in record.tags.items()]
