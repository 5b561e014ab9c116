"""Where things lie, seen from the repository's root."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COMPONENTS = ROOT / "components"

SHARED = ROOT.parent / "shared"
"""Material recorded from the predecessor. It lies beside the repository; tests skip where it's absent."""

CONFORMANCE = Path(os.environ.get("KFP_RUNNER_CONFORMANCE") or SHARED / "conformance")
CONTRACTS = SHARED / "data" / "sagemaker_contracts.json"


def component_id(path: Path) -> str:
    """Return the dotted id of the component whose folder, or a file right in it, is `path`."""
    folder = path if path.is_dir() else path.parent
    return ".".join(folder.relative_to(COMPONENTS).parts)
