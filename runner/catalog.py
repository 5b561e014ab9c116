"""Finds components: the folder `components/a/b/component.py` is the component `a.b`. There is no registry to edit."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from runner.errors import InputError
from runner.job import Component

PACKAGE = "components"


def folder() -> Path:
    """Return the folder that holds the components."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise InputError(f"the package {PACKAGE!r} is not installed beside the runner; reinstall kfp-runner")
    return Path(next(iter(spec.submodule_search_locations)))


def ids() -> Iterator[str]:
    """Iterate over the ids of all components, sorted."""
    root = folder()
    for path in sorted(root.glob("**/component.py")):
        yield ".".join(path.parent.relative_to(root).parts)


def load(name: str) -> Component:
    """Return a component by its id. Raises `InputError` that suggests near ones where there is none."""
    known = list(ids())
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.5) or [
            k for k in known if k.endswith(f".{name}")
        ]
        suggestion = f"did you mean {near[0]}?" if near else f"there are: {', '.join(known)}"
        raise InputError(f"there is no component {name!r}; {suggestion}")
    return cast("Component", importlib.import_module(f"{PACKAGE}.{name}.component").component)
