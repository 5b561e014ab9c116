"""YAML that nobody vouches for: what it would expand to is measured before it is built.

Aliases are shared while a document is read, but merge keys (`<<`) are copied, and whoever walks the result meets a shared
part once for every alias: thirty lines can stand for a billion entries.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from components.hydrosphere.release.contract.mapped import Mapped, twice

MOST_NODES = 100_000
"""Keys and values that a document may have, each alias counted as all that it stands for."""
_MERGE = "tag:yaml.org,2002:merge"


class TooLarge(Exception):
    """The document is too large; the text says how."""


class Malformed(Exception):
    """The text is no YAML; the text says where and why."""


def load(text: str) -> object:
    """Return what the YAML stands for. Raises `TooLarge`, `Malformed`, `RecursionError`."""
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _measure(node, {})
        return loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise Malformed(f"{place}{error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise Malformed(str(error).partition("\n")[0]) from None
    except (ValueError, OverflowError, LookupError, AttributeError) as error:
        # Values that look like a date or a number, and are none.
        raise Malformed(f"a value can't be read: {str(error)[:60]}") from None


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, with mappings that know their doubled keys."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._doubled: dict[int, tuple[str, ...]] = {}
        self._nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self._nodes += 1
        if self._nodes > MOST_NODES:
            raise _too_large()
        return super().compose_node(parent, index)

    def compose_mapping_node(self, anchor: dict[Any, yaml.Node]) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        # Now: a merge into another mapping may rewrite the pairs before this one is built.
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.tag != _MERGE]
        self._doubled[id(node)] = twice(keys)
        return node

    def construct_mapped(self, node: yaml.MappingNode) -> Iterator[Mapped]:
        made = Mapped(self._doubled.get(id(node), ()))
        yield made  # First, because it may hold itself.
        made.update(self.construct_mapping(node))


_Loader.add_constructor("tag:yaml.org,2002:map", _Loader.construct_mapped)


def _measure(node: yaml.Node, sizes: dict[int, int | None]) -> int:
    """Return how many nodes `node` stands for. `sizes`: those known by now, None for those that are being measured."""
    known = sizes.get(id(node), 0)
    if known is None:
        raise TooLarge("a part of it holds itself")
    if known:
        return known
    sizes[id(node)] = None
    size = 1
    for inner in _inner(node):
        size += _measure(inner, sizes)
        if size > MOST_NODES:
            raise _too_large()
    sizes[id(node)] = size
    return size


def _inner(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield key
            yield value
    elif isinstance(node, yaml.SequenceNode):
        yield from node.value


def _too_large() -> TooLarge:
    return TooLarge(
        f"it stands for more than {MOST_NODES:,} entries, counting each alias as what it stands for"
    )
