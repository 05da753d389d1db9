"""Where recorded Cohere traffic lies: a folder `shared` beside the checkout, absent on most machines."""

import os
from pathlib import Path

import pytest

_FOLDER = Path(os.environ.get("COHORT_SHARED", Path(__file__).resolve().parents[2] / "shared"))
SHARED: Path | None = _FOLDER if (_FOLDER / "recorded").is_dir() else None

requires_shared = pytest.mark.skipif(SHARED is None, reason="no recorded Cohere traffic beside this checkout")
