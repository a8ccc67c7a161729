"""Review items -> training items: suggestions, short messages, Japanese messages. A one-time preparation.

python -m training.enrich IN.jsonl.gz OUT.jsonl.gz [--drop-tier human]
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from engine.errors import TenkenError
from training.glossary import japanese_message
from training.messages import short_message
from training.records import ReviewFinding, ReviewItem, read_review_items, write_review_items
from training.suggestions import suggest


def enrich(items: Sequence[ReviewItem]) -> Iterator[ReviewItem]:
    """Yield `items` with what is known for their findings; a shortened message keeps its original."""
    for item in suggest(items):
        findings = tuple(_worded(finding) for finding in item.findings)
        yield item.model_copy(update={"findings": findings})


def _worded(finding: ReviewFinding) -> ReviewFinding:
    """Return the finding with its short message, and in Japanese where the glossary has its rule."""
    message = short_message(finding.message)
    changes: dict[str, str | None] = {"message": message}
    if message != finding.message:
        changes["message_full"] = finding.message_full or finding.message
    if finding.rule and not finding.message_ja:
        changes["message_ja"] = japanese_message(finding.rule, message)
    return finding.model_copy(update=changes)


def report(items: Sequence[ReviewItem]) -> str:
    """Return counts of what the findings have, and the rules with most suggestions."""
    findings = [finding for item in items for finding in item.findings]
    fixed = Counter(finding.rule for finding in findings if finding.suggestion is not None)
    rows = [
        f"items {len(items)}, findings {len(findings)}",
        f"with suggestion {fixed.total()}, {len(fixed)} rules",
        f"with Japanese message {sum(finding.message_ja is not None for finding in findings)}",
        f"with shortened message {sum(finding.message_full is not None for finding in findings)}",
        "suggestions by rule: " + ", ".join(f"{rule} {count}" for rule, count in fixed.most_common(60)),
    ]
    return "\n".join(rows)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the step; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m training.enrich", description=enrich.__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--drop-tier", action="append", default=[], metavar="TIER")
    options = parser.parse_args(argv)
    try:
        items = [item for item in read_review_items(options.source) if item.tier not in options.drop_tier]
        enriched = list(enrich(items))
        write_review_items(options.target, enriched)
    except TenkenError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(report(enriched))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
