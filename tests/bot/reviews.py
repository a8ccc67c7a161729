"""Reviews for tests: findings about lines of a tree, as an engine would report them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from scenes import Scene

from bot.file_changes import file_diff
from bot.publish import Published, Reviewed, publish
from engine.findings import Category, Finding, Severity, fingerprint, verdict_of
from engine.wire import FileCoverage, Language, Review


def finding_at(
    files: Mapping[str, str | bytes], path: str, line: int, end: int | None = None, **fields: Any
) -> Finding:
    """Return a finding about lines of a file."""
    text = files[path]
    lines = (text.decode() if isinstance(text, bytes) else text).split("\n")
    code = "\n".join(lines[line - 1 : end or line])
    category = fields.pop("category", Category.BUG)
    values: dict[str, Any] = {
        "path": path, "line": line, "end_line": end or line, "severity": Severity.MAJOR, "category": category,
        "message": f"Line {line} is wrong.", "confidence": 0.8, "code": code,
        "fingerprint": fingerprint(path, code, category),
    }  # fmt: skip
    return Finding(**{**values, **fields})


def review_of(findings: Sequence[Finding], read: Sequence[str] = (), **fields: Any) -> Review:
    """Return a review that read the files of its findings and those in `read`."""
    paths = dict.fromkeys([*read, *(finding.path for finding in findings)])
    values: dict[str, Any] = {
        "verdict": verdict_of(list(findings)),
        "findings": tuple(findings),
        "coverage": tuple(FileCoverage(path=path, reviewed=True, lines=3) for path in paths),
        "language": Language.EN,
        "base_model": "gemma-3-270m",
        "adapter": "team-0123456789ab",
        "tool_version": "1.0",
    }
    return Review(**{**values, **fields})


async def publish_in(stage: Scene, findings: Sequence[Finding], **details: Any) -> Published:
    """Publish findings in the newest version of a scene's merge request; nothing is slept."""
    review = details.pop("review", None) or review_of(
        findings, [change.new_path for change in stage.mr.version.changes]
    )
    still_current = details.pop("still_current", _always)
    files = [file_diff(change) for change in stage.mr.version.changes]
    reviewed = Reviewed(
        review, stage.refs, files, **{"web_url": "http://gitlab/team/app/-/merge_requests/1", **details}
    )
    return await publish(stage.gitlab, stage.ref, reviewed, still_current, sleep=_no_sleep)


async def _always() -> bool:
    return True


async def _no_sleep(seconds: float) -> None:
    return None
