"""All formats: goldens of whole reviews, and what holds for any review."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft4Validator, Draft202012Validator
from jsonschema.protocols import Validator

from engine.findings import Category, Finding, Severity, Verdict
from engine.formats import FORMATS, LineLookup, lines_of, no_lines
from engine.formats.json_format import parse_review, schema_text
from engine.parsing import parse_diff
from engine.wire import FileCoverage, Language, Review, SkipReason, Timings

DATA = Path(__file__).parents[2] / "data"
CASES = sorted(path.name.removesuffix(".review.json") for path in (DATA / "formats").glob("*.review.json"))


def schema(name: str) -> Validator:
    """Load a schema of data/schemas."""
    value = json.loads((DATA / "schemas" / name).read_text(encoding="utf-8"))
    return Draft4Validator(value) if "draft-04" in value["$schema"] else Draft202012Validator(value)


SARIF = schema("sarif-schema-2.1.0.json")
CODE_QUALITY = schema("code-quality.json")


def load(case: str) -> tuple[Review, LineLookup]:
    """Read a case: its review, and its diff if there is one."""
    review = parse_review((DATA / "formats" / f"{case}.review.json").read_text(encoding="utf-8"))
    diff = DATA / "formats" / f"{case}.diff"
    return review, lines_of(parse_diff(diff.read_text(encoding="utf-8"))) if diff.exists() else no_lines


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", [name for name in FORMATS if name != "json"])
def test_golden(case: str, name: str, golden: Callable[[Path, str], None]) -> None:
    """A review is written as its golden says."""
    review, line_at = load(case)
    golden(DATA / "formats" / f"{case}.{name}.golden", FORMATS[name].render(review, line_at))


@pytest.mark.parametrize("case", CASES)
def test_json_golden(case: str, golden: Callable[[Path, str], None]) -> None:
    """JSON is written as the case itself stands."""
    golden(DATA / "formats" / f"{case}.review.json", FORMATS["json"].render(load(case)[0]))


def test_names() -> None:
    """Each format is found by the name it says, and usual file names differ."""
    assert list(FORMATS) == ["terminal", "json", "sarif", "code-quality", "markdown", "text"]
    assert all(name == entry.name for name, entry in FORMATS.items())
    assert len({entry.file_name for entry in FORMATS.values()}) == len(FORMATS)


characters = st.characters(exclude_categories=["Cs"])
words = st.text(characters, min_size=1, max_size=30)
paths = words | st.sampled_from(
    ["a/b.py", "//x", "使い方.py", "a b%20#?.c", "\x00", "..", "c:\\x", "x.mermaid"]
)
lines = st.lists(st.text(characters, max_size=30), max_size=4).map("\n".join)


@st.composite
def findings(draw: st.DrawFn) -> Finding:
    """Any finding that can be made."""
    line = draw(st.integers(1, 10**6))
    return Finding(
        path=draw(paths),
        line=line,
        end_line=line + draw(st.integers(0, 5)),
        severity=draw(st.sampled_from(Severity)),
        category=draw(st.sampled_from(Category)),
        message=draw(words | st.just("/merge @all\n```")),
        suggestion=draw(st.none() | lines),
        confidence=draw(st.floats(0, 1)),
        code=draw(lines),
        fingerprint=draw(st.sampled_from(["", "0123456789abcdef"]) | words),
    )


@st.composite
def coverages(draw: st.DrawFn) -> FileCoverage:
    """Any file's coverage, also one that gives no reason."""
    reviewed = draw(st.booleans())
    reason = None if reviewed else draw(st.none() | st.sampled_from(SkipReason))
    return FileCoverage(path=draw(paths), reviewed=reviewed, reason=reason, detail=draw(st.just("") | words))


reviews = st.builds(
    Review,
    verdict=st.sampled_from(Verdict),
    findings=st.lists(findings(), max_size=4).map(tuple),
    coverage=st.lists(coverages(), max_size=4).map(tuple),
    language=st.sampled_from(Language),
    partial=st.booleans(),
    suppressed=st.integers(0, 2),
    malformed_replies=st.integers(0, 2),
    base_model=st.just("") | words,
    adapter=st.just("") | words,
    tool_version=st.just("") | words,
    timings=st.just(Timings(total=1.25)),
)
any_review = settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])


@any_review
@given(reviews)
def test_every_format_renders(review: Review) -> None:
    """Any review can be written in every format, encoded, and without a character that acts unseen."""
    for entry in FORMATS.values():
        text = entry.render(review)
        assert text.endswith("\n")
        text.encode("utf-8")
        assert not [char for char in text if unicodedata.category(char) == "Cc" and char not in "\n\t"]


@any_review
@given(reviews)
def test_json_round_trip(review: Review) -> None:
    """JSON is valid by its schema and gives back an equal review."""
    text = FORMATS["json"].render(review)
    Draft202012Validator(json.loads(schema_text())).validate(json.loads(text))
    assert parse_review(text) == review


@any_review
@given(reviews)
def test_sarif_is_valid(review: Review) -> None:
    """Any review is valid SARIF 2.1.0 with one result for each finding."""
    log = json.loads(FORMATS["sarif"].render(review))
    SARIF.validate(log)
    assert len(log["runs"][0]["results"]) == len(review.findings)


@any_review
@given(reviews)
def test_code_quality_is_valid(review: Review) -> None:
    """Any review is a valid Code Quality report in which no two fingerprints are equal."""
    report = json.loads(FORMATS["code-quality"].render(review))
    CODE_QUALITY.validate(report)
    assert len({entry["fingerprint"] for entry in report}) == len(review.findings)


@any_review
@given(reviews)
def test_text_has_a_line_for_each_finding(review: Review) -> None:
    """The first lines of plain text are the findings, one each, whatever is in them."""
    rows = FORMATS["text"].render(review).split("\n")
    for row, finding in zip(rows, review.findings, strict=False):
        assert f":{finding.line}: {finding.severity} {finding.category}: " in row
