"""Started as a program of its own: reads Python source from its input, tells as JSON what it defines, and runs none of it.

A process apart, with limits that `tools` sets: source that is deep enough can end the Python that reads it.
"""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Iterator


def main() -> None:
    """Print `{"error": text}`, or `{"names": [...]}`: what there is at the top level that may be a function."""
    source = sys.stdin.buffer.read()
    try:
        tree = ast.parse(source, "src/func_main.py")
        compile(source, "src/func_main.py", "exec", dont_inherit=True)
    except SyntaxError as error:
        found: dict[str, object] = {
            "error": f"{type(error).__name__}: {error.msg} (src/func_main.py, line {error.lineno})"
        }
    except (ValueError, RecursionError, MemoryError) as error:
        found = {"error": f"{type(error).__name__}: {error} (src/func_main.py)"}
    else:
        found = {"names": sorted(set(_names(tree.body)))}
    print(json.dumps(found))  # noqa: T201  its answer


def _names(body: list[ast.stmt]) -> Iterator[str]:
    for each in body:
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield each.name
        elif isinstance(each, ast.Import | ast.ImportFrom):
            yield from (alias.asname or alias.name for alias in each.names)
        elif isinstance(each, ast.If | ast.Try | ast.With):
            yield from _names(each.body)
            yield from _names(getattr(each, "orelse", []))
            for handler in getattr(each, "handlers", []):
                yield from _names(handler.body)
        elif isinstance(each, ast.Assign | ast.AnnAssign):
            targets = each.targets if isinstance(each, ast.Assign) else [each.target]
            yield from (target.id for target in targets if isinstance(target, ast.Name))


if __name__ == "__main__":
    main()
