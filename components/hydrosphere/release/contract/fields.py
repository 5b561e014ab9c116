"""The fields of a contract, read from plain data of any shape that users write.

The data types, their aliases and the profiles are those of the platform's protocol and of its SDK.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeGuard

from components.hydrosphere.release._words import guess, shown, step, told
from runner.errors import InputError

ARGUMENT = "--contract_path"

DTYPES = (
    *("DT_HALF", "DT_FLOAT", "DT_DOUBLE"),
    *("DT_INT8", "DT_INT16", "DT_INT32", "DT_INT64", "DT_UINT8", "DT_UINT16", "DT_UINT32", "DT_UINT64"),
    *("DT_QINT8", "DT_QINT16", "DT_QINT32", "DT_QUINT8", "DT_QUINT16"),
    *("DT_COMPLEX64", "DT_COMPLEX128", "DT_BOOL", "DT_STRING", "DT_ANY", "DT_MAP"),
)
_ALIASES = {
    "DT_STRING": "string str",
    "DT_BOOL": "bool",
    "DT_HALF": "float16 half",
    "DT_FLOAT": "float32 single",
    "DT_DOUBLE": "float64 double float",
    "DT_INT8": "int8 byte",
    "DT_INT16": "int16 short",
    "DT_INT32": "int32",
    "DT_INT64": "int64 int",
    "DT_UINT8": "uint8 ubyte",
    "DT_UINT16": "uint16 ushort",
    "DT_UINT32": "uint32",
    "DT_UINT64": "uint64",
    "DT_QINT8": "qint8",
    "DT_QINT16": "qint16",
    "DT_QINT32": "qint32",
    "DT_QUINT8": "quint8",
    "DT_QUINT16": "quint16",
    "DT_COMPLEX64": "complex64",
    "DT_COMPLEX128": "complex128 complex",
}
ALIASES = {alias: dtype for dtype, aliases in _ALIASES.items() for alias in aliases.split()}
"""What users write → the protocol's name. As in NumPy, `float` and `int` have 64 bits."""
PROFILES = (
    *("NONE", "CATEGORICAL", "NOMINAL", "ORDINAL", "NUMERICAL", "CONTINUOUS", "INTERVAL", "RATIO"),
    *("IMAGE", "VIDEO", "AUDIO", "TEXT"),
)

MOST_FIELDS = 10_000
MOST_DEPTH = 16
_KEYS = ("name", "shape", "type", "dtype", "profile", "subfields", "fields")
_LARGEST = 2**63 - 1
_SHAPES = "scalar, or a list of whole numbers such as [-1, 28], where -1 stands for any"


@dataclass(frozen=True, slots=True)
class Field:
    """An input or output of a model: of one data type, or made of subfields."""

    name: str
    profile: str
    """One of `PROFILES`."""
    dims: tuple[int, ...]
    """Sizes of the dimensions, -1 for any; none for a scalar."""
    dtype: str = ""
    """One of `DTYPES`; blank if there are subfields."""
    subfields: tuple[Field, ...] = ()


@dataclass(frozen=True, slots=True)
class _Written:
    """A field as it was written: its name, all else, and where it stands."""

    name: str
    body: Mapping[object, object]
    path: str


class Reading:
    """Reads fields, and collects what is wrong with them."""

    def __init__(self) -> None:
        self.wrong: list[str] = []
        self._notes: dict[str, None] = {}
        self._met = 0

    def error(self) -> InputError:
        """Return the error that tells all that was wrong."""
        return told(ARGUMENT, self.wrong, self._notes)

    def fields(self, given: object, path: str, depth: int = 1) -> tuple[Field, ...]:
        """Read the fields that stand at `path`: a list of them, or a mapping from their names.

        Raises `InputError` at once if they are too many; all else that is wrong is collected.
        """
        if not isinstance(given, dict | list):
            self.wrong.append(
                f"{path} is {shown(given)}; it has to be a list of fields, or a mapping of names to fields"
            )
            return ()
        if not given:
            self.wrong.append(f"{path} is empty; at least one field is needed")
        if depth > MOST_DEPTH:
            self.wrong.append(
                f"{path} is nested too deeply; at most {MOST_DEPTH} levels of fields are possible"
            )
            return ()
        written = self._mapped(given, path) if isinstance(given, dict) else self._listed(given, path)
        return tuple(self._field(one, depth) for one in written)

    def _mapped(self, given: dict[object, object], path: str) -> Iterator[_Written]:
        for name, body in given.items():
            where = f"{path}.{step(name) if isinstance(name, str) else shown(name)}"
            self._count()
            if self._named(name, where) and self._is_mapping(body, where):
                own = body.get("name", name)
                if own != name:
                    self.wrong.append(
                        f"{where}.name is {shown(own)}, which is not the name that it stands under"
                    )
                yield _Written(name, {key: body[key] for key in body if key != "name"}, where)
                self._doubled(body, where)
        self._doubled(given, path)

    def _listed(self, given: list[object], path: str) -> Iterator[_Written]:
        names: dict[str, str] = {}
        for position, item in enumerate(given):
            where = f"{path}[{position}]"
            self._count()
            if not self._is_mapping(item, where):
                continue
            self._doubled(item, where)
            name, body, inner = self._item(item, where)
            if not self._named(name, inner):
                continue
            if name in names:
                self.wrong.append(f"{where} has the name {shown(name)} of {names[name]}; each needs its own")
            names.setdefault(name, where)
            yield _Written(name, body, inner)

    def _item(self, item: dict[object, object], where: str) -> tuple[object, dict[object, object], str]:
        """Take an item of a list apart: with a name in it, or in the form {name: {…}}."""
        if len(item) == 1:
            ((key, body),) = item.items()
            if isinstance(body, dict) and (key not in _KEYS or body.keys() & set(_KEYS)):
                self._doubled(body, f"{where}.{step(str(key))}")
                return key, body, f"{where}.{step(key) if isinstance(key, str) else shown(key)}"
        return item.get("name", ...), {key: item[key] for key in item if key != "name"}, where

    def _named(self, name: object, where: str) -> TypeGuard[str]:
        if name is ...:
            self.wrong.append(f"{where} has no name")
        elif not isinstance(name, str):
            self.wrong.append(f"{where} has the name {shown(name)}, which is not text; put it in quotes")
        elif not name.strip():
            self.wrong.append(f"{where} has a blank name")
        else:
            return True
        return False

    def _is_mapping(self, given: object, where: str) -> TypeGuard[dict[object, object]]:
        if isinstance(given, dict):
            return True
        self.wrong.append(f"{where} is {shown(given)}; it has to be a mapping with shape, type and profile")
        return False

    def _field(self, written: _Written, depth: int) -> Field:
        body, path = written.body, written.path
        self._unknown(body, _KEYS, path)
        profile = self._profile(body.get("profile"), f"{path}.profile")
        dims = self._dims(body.get("shape"), f"{path}.shape")
        typed = next((key for key in ("dtype", "type") if body.get(key) is not None), None)
        parts = [key for key in ("subfields", "fields") if body.get(key) is not None]
        if len(parts) + bool(typed) > 1:
            both = " and ".join([*([typed] if typed else []), *parts])
            self.wrong.append(f"{path} has {both}; a field has either a type or subfields")
        elif parts:
            subfields = self.fields(body[parts[0]], f"{path}.{parts[0]}", depth + 1)
            return Field(written.name, profile, dims, subfields=subfields)
        elif typed:
            return Field(written.name, profile, dims, self._dtype(body[typed], f"{path}.{typed}"))
        else:
            self.wrong.append(f"{path} has no type; give it one, or subfields")
        return Field(written.name, profile, dims)

    def _dtype(self, given: object, path: str) -> str:
        if isinstance(given, str) and (given in ALIASES or given in DTYPES):
            return ALIASES.get(given, given)
        self.wrong.append(f"{path} is {shown(given)}, which is no type{guess(given, (*ALIASES, *DTYPES))}")
        self._notes[f"the types are {', '.join(ALIASES)}, and {', '.join(DTYPES)}"] = None
        return ""

    def _profile(self, given: object, path: str) -> str:
        if given is None:
            return "NONE"
        if isinstance(given, str) and given.upper() in PROFILES:
            return given.upper()
        near = guess(given.upper(), PROFILES) if isinstance(given, str) else ""
        self.wrong.append(f"{path} is {shown(given)}, which is no profile{near}")
        self._notes[f"the profiles are {', '.join(PROFILES)}"] = None
        return "NONE"

    def _dims(self, given: object, path: str) -> tuple[int, ...]:
        if given is None or given == "scalar":
            return ()
        if isinstance(given, dict):
            return self._wrapped_dims(given, path)
        if not isinstance(given, list):
            self.wrong.append(f"{path} is {shown(given)}; it has to be {_SHAPES}")
            return ()
        sizes = [self._size(one, f"{path}[{position}]") for position, one in enumerate(given)]
        return tuple(size for size in sizes if size is not None)

    def _wrapped_dims(self, given: dict[object, object], path: str) -> tuple[int, ...]:
        """Read {"dims": [...]}, or the form of the 2.x servers: {"dim": [{"size": 3}], "unknownRank": false}."""
        self._unknown(given, ("dims", "dim", "unknownRank"), path)
        self._doubled(given, path)
        keys = [key for key in ("dims", "dim") if key in given]
        if given.get("unknownRank"):
            self.wrong.append(f"{path}.unknownRank can't be sent; give the dimensions, -1 for any size")
        if len(keys) > 1:
            self.wrong.append(f"{path} has dims and dim; keep one of them")
        elif keys and not isinstance(given[keys[0]], list):
            self.wrong.append(
                f"{path}.{keys[0]} is {shown(given[keys[0]])}; it has to be a list of whole numbers"
            )
        elif keys:
            return self._dims(given[keys[0]], f"{path}.{keys[0]}")
        return ()

    def _size(self, given: object, path: str) -> int | None:
        if isinstance(given, dict):
            self._unknown(given, ("size", "name"), path)
            self._doubled(given, path)
            if given.get("name"):
                self.wrong.append(f"{path}.name can't be sent: dimensions have no names; leave it out")
            given, path = given.get("size"), f"{path}.size"
        if isinstance(given, int) and not isinstance(given, bool) and -1 <= given <= _LARGEST:
            return given
        self.wrong.append(f"{path} is {shown(given)}; it has to be a whole number, or -1 for any size")
        return None

    def _unknown(self, given: Mapping[object, object], known: tuple[str, ...], path: str) -> None:
        for key in given:
            if key not in known:
                named = step(key) if isinstance(key, str) else shown(key)
                self.wrong.append(f"{path}.{named} is unknown{guess(key, known)}")

    def _doubled(self, given: object, path: str) -> None:
        self.wrong += [f"{path}.{step(key)} stands there twice" for key in getattr(given, "doubled", ())]

    def _count(self) -> None:
        self._met += 1
        if self._met > MOST_FIELDS:
            raise InputError(
                f"{ARGUMENT}: it has more than {MOST_FIELDS:,} fields, counting each alias as what it stands for"
            )
