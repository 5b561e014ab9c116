"""A refusal in AWS's own words: raised anywhere behind the API, turned into the JSON error answer by `app`."""

from __future__ import annotations


class ApiError(Exception):
    """An error answer. `code` is what SDKs match on; `text` is for people; `status` is the HTTP status."""

    def __init__(self, code: str, text: str, status: int = 400) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text
        self.status = status


def invalid(text: str) -> ApiError:
    """SageMaker's refusal of a request that is well-formed but can't be carried out."""
    return ApiError("ValidationException", text)


def not_implemented(what: str) -> ApiError:
    """The honest refusal: AWS can do this, the embedded cloud can't."""
    return ApiError("NotImplementedByEmbeddedCloud", f"{what} is not implemented by the embedded cloud")
