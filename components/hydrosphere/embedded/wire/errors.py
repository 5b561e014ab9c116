"""A refusal in Hydrosphere's own words: raised anywhere behind the routes, turned into the JSON answer by `app`."""

from __future__ import annotations


class ApiError(Exception):
    """An error answer: `error` is its kind, `text` is for people, `status` is the HTTP status."""

    def __init__(self, error: str, text: str, status: int = 400) -> None:
        super().__init__(f"{error}: {text}")
        self.error = error
        self.text = text
        self.status = status


def invalid(text: str) -> ApiError:
    """A request that is well-formed but can't be carried out."""
    return ApiError("InvalidRequest", text)


def unreadable(text: str) -> ApiError:
    """A body that is not what the era expects."""
    return ApiError("RequestDeserializationError", text)


def not_found(text: str) -> ApiError:
    """There is no such thing."""
    return ApiError("NotFound", text, 404)


def internal(text: str, status: int = 500) -> ApiError:
    """Something broke, or there is no room for more."""
    return ApiError("InternalException", text, status)


def too_large(most: int) -> ApiError:
    """A body beyond the limit, in bytes."""
    return ApiError("RequestEntityTooLarge", f"the body is longer than {most} bytes", 413)
