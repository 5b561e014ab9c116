"""What jobs leave behind, one object at a time, on its way to S3."""

from __future__ import annotations

from components.aws.embedded.s3.objects import Location, Objects, S3Error

_NO_BUCKET = " (Embedded cloud: make the bucket first, or bring it with --local-folder.)"


class UploadError(Exception):
    """Something could not be brought to S3; the text follows AWS's `ClientError: Artifact upload failed:`."""


async def upload(objects: Objects, place: Location, content: bytes) -> None:
    """Write an object. Raises `UploadError`."""
    try:
        await objects.put(place.bucket, place.key, content)
    except S3Error as error:
        advice = _NO_BUCKET if error.code == "NoSuchBucket" else ""
        raise UploadError(f"{error.text} ({place.uri}){advice}") from error
    except UnicodeEncodeError as error:
        raise UploadError(f"the file name {place.key!a} is no UTF-8, so it can be no key") from error
