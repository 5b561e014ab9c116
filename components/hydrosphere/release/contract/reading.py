"""A model's contract: the file in which users say what goes into the model and what comes out.

Two ways of writing it are in use, as JSON or as YAML, and both are accepted:

    signatureName: predict                                 name: predict
    inputs:                                                inputs:
    - {name: x, shape: scalar, type: int64}                  x: {shape: scalar, type: int64}
    outputs:                                               outputs:
    - {name: y, shape: [-1, 3], type: double}                y: {shape: [-1, 3], type: double}
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass

from components.hydrosphere.release._words import guess, shown, step
from components.hydrosphere.release.contract.document import load
from components.hydrosphere.release.contract.fields import ARGUMENT, Field, Reading
from runner.errors import InputError

__all__ = ["MOST_BYTES", "Field", "Signature", "parse", "read"]

MOST_BYTES = 1_000_000
"""Bytes that a contract's file may have."""
_NAME = "predict"
_KEYS = ("signatureName", "name", "inputs", "outputs")


@dataclass(frozen=True, slots=True)
class Signature:
    """What a model's function takes and returns."""

    name: str
    """The function's name."""
    inputs: tuple[Field, ...]
    outputs: tuple[Field, ...]


def read(path: str) -> Signature:
    """Read a contract's file. Raises `InputError` that begins with `--contract_path` and tells all that is wrong."""
    if not path.strip():
        raise InputError(f"{ARGUMENT} is blank; it has to name the contract's file")
    try:
        # Looked at first: opening a pipe would wait for somebody to write into it.
        mode = os.stat(path).st_mode  # noqa: PTH116
        if not stat.S_ISREG(mode):
            kind = "a folder" if stat.S_ISDIR(mode) else "no regular file"
            raise InputError(f"{ARGUMENT}: {_place(path)} is {kind}; it has to be the contract's file")
        with open(path, "rb") as file:  # noqa: PTH123
            content = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise InputError(f"{ARGUMENT}: there is no file {_place(path)}") from None
    except OSError as error:
        raise InputError(f"{ARGUMENT}: {_place(path)} can't be read: {error.strerror}") from None
    except ValueError:  # Characters that no path can have.
        raise InputError(f"{ARGUMENT}: {_place(path)} is no path") from None
    if len(content) > MOST_BYTES:
        raise _too_large()
    try:
        return parse(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InputError(f"{ARGUMENT}: {_place(path)} is not UTF-8 text (byte {error.start + 1})") from None


def parse(text: str) -> Signature:
    """Read a contract. Raises `InputError` that begins with `--contract_path` and tells all that is wrong."""
    if not text.strip():
        raise InputError(f"{ARGUMENT}: it is empty; it needs inputs and outputs")
    if len(text) > MOST_BYTES:
        raise _too_large()
    document = load(text, ARGUMENT)
    if not isinstance(document, dict):
        raise InputError(
            f"{ARGUMENT}: it is {shown(document)}; it has to be a mapping with inputs and outputs"
        )
    _check_wrapping(document)
    reading = Reading()
    _check_keys(document, reading.wrong)
    name = _name(document, reading.wrong)
    inputs, outputs = (_side(document, side, reading) for side in ("inputs", "outputs"))
    if reading.wrong:
        raise reading.error()
    return Signature(name, inputs, outputs)


def _side(document: dict[object, object], side: str, reading: Reading) -> tuple[Field, ...]:
    if document.get(side) is not None:
        return reading.fields(document[side], side)
    reading.wrong.append(f"it has no {side}; at least one field is needed")
    return ()


def _check_wrapping(document: dict[object, object]) -> None:
    """Answer what is a contract, but with more around it: as servers of 2.x show it, and as their CLI's files have it."""
    for around in ("predict", "contract"):
        if isinstance(document.get(around), dict) and not document.keys() & {"inputs", "outputs"}:
            raise InputError(
                f"{ARGUMENT}: the contract stands inside `{around}`; give what is inside `{around}` alone"
            )


def _check_keys(document: dict[object, object], wrong: list[str]) -> None:
    for key in document:
        if key not in _KEYS:
            named = step(key) if isinstance(key, str) else shown(key)
            wrong.append(f"{named} is unknown{guess(key, _KEYS)}")
    wrong += [f"{step(key)} stands there twice" for key in getattr(document, "doubled", ())]


def _name(document: dict[object, object], wrong: list[str]) -> str:
    keys = [key for key in ("signatureName", "name") if key in document]
    if len(keys) > 1:
        wrong.append("signatureName and name are both given; keep one of them")
    for key in keys:
        given = document[key]
        if isinstance(given, str) and given.strip():
            return given
        wrong.append(f"{key} is {shown(given)}; it has to be the function's name, or left out for {_NAME}")
    return _NAME


def _place(path: str) -> str:
    return shown(path)


def _too_large() -> InputError:
    return InputError(f"{ARGUMENT}: it is larger than {MOST_BYTES:,} bytes, which no contract needs")
