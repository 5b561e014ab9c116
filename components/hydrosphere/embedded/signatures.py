"""The signature of a model as a client sends it, read and checked in either era's words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from components.hydrosphere.embedded.books import Signature
from components.hydrosphere.embedded.wire.errors import invalid, unreadable
from components.hydrosphere.embedded.wire.reading import member, objects

Json = Mapping[str, Any]
DEEPEST = 32
"""Levels of fields within fields."""
PROFILES = frozenset(
    [
        "NONE",
        "CATEGORICAL",
        "NOMINAL",
        "ORDINAL",
        "NUMERICAL",
        "CONTINUOUS",
        "INTERVAL",
        "RATIO",
        "IMAGE",
        "VIDEO",
        "AUDIO",
        "TEXT",
    ]
)
DTYPES = frozenset(
    [
        "DT_INVALID",
        "DT_ANY",
        "DT_MAP",
        "DT_FLOAT",
        "DT_DOUBLE",
        "DT_INT32",
        "DT_UINT8",
        "DT_INT16",
        "DT_INT8",
        "DT_STRING",
        "DT_COMPLEX64",
        "DT_INT64",
        "DT_BOOL",
        "DT_QINT8",
        "DT_QUINT8",
        "DT_QINT32",
        "DT_QINT16",
        "DT_QUINT16",
        "DT_UINT16",
        "DT_COMPLEX128",
        "DT_HALF",
        "DT_UINT32",
        "DT_UINT64",
    ]
)


def read(body: Json, era: int, contract: str = "") -> Signature:
    """Read a signature. Raises `ApiError` for what the era's reader would not understand; see `check` for the rest."""
    return Signature(
        member(body, "signatureName", str),
        tuple(_field(each, era) for each in objects(body, "inputs")),
        tuple(_field(each, era) for each in objects(body, "outputs")),
        contract,
    )


def check(signature: Signature) -> None:
    """Raise `ApiError` for a signature that can be read but is none of a model."""
    if not signature.name.strip():
        raise invalid("The signature has no name")
    for what, fields in (("inputs", signature.inputs), ("outputs", signature.outputs)):
        if not fields:
            raise invalid(f"The signature has no {what}")
        for each in _all(fields):
            if not each["name"].strip():
                raise invalid(f"One of the signature's {what} has no name")
            if each.get("dtype") == "DT_INVALID":
                raise invalid(f"The dtype of {each['name']!r} in the signature's {what} is DT_INVALID")


def columns(signature: Signature) -> list[str]:
    """The inputs that a cell of a table can hold: scalars, and tensors of at most one element."""
    return [each["name"] for each in signature.inputs if "dtype" in each and _is_single(each["shape"])]


def _field(body: Json, era: int, depth: int = 0) -> Json:
    if depth > DEEPEST:
        raise unreadable(f"fields lie more than {DEEPEST} levels deep")
    profile = member(body, "profile", str)
    if profile not in PROFILES:
        raise unreadable(f"Unknown data profile {profile[:100]!r}")
    found = {"name": member(body, "name", str), "profile": profile, "shape": _SHAPES[era](body)}
    if "dtype" not in body and "subfields" in body:
        inner = objects(body, "subfields")
        return found | {"subfields": [_field(each, era, depth + 1) for each in inner]}
    dtype = member(body, "dtype", str)
    if dtype not in DTYPES:
        raise unreadable(f"Unknown data type {dtype[:100]!r}")
    return found | {"dtype": dtype}


def _shape_3(body: Json) -> Json:
    dims = member(member(body, "shape", dict), "dims", list)
    for each in dims:
        if not isinstance(each, int) or isinstance(each, bool):
            raise unreadable("Expected whole numbers in 'dims'")
    return {"dims": dims}


def _shape_2(body: Json) -> Json:
    shape = member(body, "shape", dict)
    dims = [
        {"size": member(each, "size", int), "name": member(each, "name", str, "")}
        for each in objects(shape, "dim")
    ]
    return {"dim": dims, "unknownRank": member(shape, "unknownRank", bool, default=False)}


def _is_single(shape: Json) -> bool:
    if shape.get("unknownRank"):
        return False
    sizes = shape["dims"] if "dims" in shape else [each["size"] for each in shape["dim"]]
    return all(size in (1, -1) for size in sizes) and len(sizes) <= 1


def _all(fields: tuple[Json, ...] | list[Json]) -> Iterator[Json]:
    for each in fields:
        yield each
        yield from _all(each.get("subfields", []))


_SHAPES = {2: _shape_2, 3: _shape_3}
