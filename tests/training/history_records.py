"""Records as tests need them: each with a hunk that fits."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from training.history.records import Person, Quiet, Record, Remark

TIME = "2026-03-01T10:00:00Z"
REVIEWER = Person(username="mia", name="Mia Example", role=40)
HUNK = """\
@@ -1,4 +1,5 @@
 import os
-def total(rows):
+def total(rows=[]):
+    print(rows)
     return sum(rows)
 """


def remark(body: str = "A list as default is shared between calls.", **changes: Any) -> Remark:
    """Return a remark on line 2 of HUNK."""
    fields = {
        "id": "note-1", "author": REVIEWER, "created": TIME, "mr": 1, "body": body, "path": "shop/cart.py",
        "line": 2, "head_sha": "a" * 40, "hunk": HUNK,
    }  # fmt: skip
    return Remark.model_validate(fields | changes)


def quiet(**changes: Any) -> Quiet:
    """Return a hunk that nobody remarked on."""
    fields = {
        "id": "quiet-1", "author": REVIEWER, "created": TIME, "mr": 1, "path": "shop/cart.py",
        "head_sha": "a" * 40, "hunk": HUNK,
    }  # fmt: skip
    return Quiet.model_validate(fields | changes)


def written(path: Path, records: Iterable[Record | str]) -> Path:
    """Write records, and lines that are none as they are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = (row.model_dump_json() if isinstance(row, BaseModel) else row for row in records)
    path.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
    return path


def lines(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a JSONL file."""
    return [json.loads(row) for row in path.read_text("utf-8").splitlines()]
