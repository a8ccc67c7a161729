"""Rules and dashboard ask for measurements that exist, with labels and values that occur."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import promql_parser
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from bot.metrics import Metrics as BotMetrics
from bot.work import FailureKind
from engine.api.metrics import Metrics as EngineMetrics
from engine.runners import Reply

DEPLOY = Path(__file__).parents[2] / "deploy"
FOLDER = DEPLOY / "monitoring"
RULES = yaml.safe_load((FOLDER / "tenken-rules.yaml").read_text("utf-8"))
ALERTS = [rule for group in RULES["groups"] for rule in group["rules"]]
DASHBOARD = json.loads((FOLDER / "grafana-dashboard.json").read_text("utf-8"))
_ADDED = {"instance", "job", "le"}
_VALUES = {
    ("tenken_review_seconds", "outcome"): {"done", "partial", "failed"},
    ("tenken_bot_work_seconds", "outcome"): {"done", "given_up", *FailureKind},
    ("tenken_tokens", "kind"): {"prompt", "cached", "written"},
    ("tenken_bot_answer_seconds", "route"): {"/webhook"},
}
_DURATION = re.compile(r"\$__rate_interval")


def measured() -> dict[str, set[str]]:
    """Return what both programs measure, once each of it has happened: series -> labels."""
    engine, bot = EngineMetrics(), BotMetrics()
    engine.watch(lambda: (0, 0))
    engine.batch(SimpleNamespace(kind="write", works=[1]), [Reply("", tokens=1)], 1)  # type: ignore[arg-type]
    engine.load(1)
    engine.review("done", 1)
    engine.first_finding(1)
    engine.question("done", 1)
    engine.request("/v1/reviews", 200)
    bot.answered("/webhook", 200, 1)
    bot.ended("review", "done", 1)
    bot.waiting("review", 1)
    bot.token_expires(100)
    found: dict[str, set[str]] = {"up": set()}
    for text in (engine.text(), bot.text()):
        for family in text_string_to_metric_families(text.decode()):
            for sample in family.samples:
                found.setdefault(sample.name, set()).update(sample.labels)
    return found


MEASURED = measured()


def parsed(expression: str) -> tuple[list[Any], set[str]]:
    """Return the selectors of an expression, and what it groups by; raises for what is no PromQL."""
    selectors: list[Any] = []
    labels: set[str] = set()

    def visit(node: Any) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            selectors.append(node)
        if isinstance(node, promql_parser.AggregateExpr) and node.modifier:
            labels.update(node.modifier.labels)

    promql_parser.walk(promql_parser.parse(_DURATION.sub("5m", expression)), visit)
    return selectors, labels


def problems(expression: str) -> Iterator[str]:
    """Give what an expression asks for and nobody measures."""
    selectors, grouped = parsed(expression)
    known = set(_ADDED)
    for selector in selectors:
        if selector.name not in MEASURED:
            yield f"nobody measures {selector.name}"
            continue
        labels = MEASURED[selector.name] | _ADDED
        known |= labels
        family = re.sub(r"_(bucket|count|sum|total)$", "", selector.name)
        for matcher in selector.matchers.matchers:
            if matcher.name not in labels:
                yield f"{selector.name} has no label {matcher.name}"
            values = _VALUES.get((family, matcher.name))
            if values is not None and set(matcher.value.split("|")) - {str(value) for value in values}:
                yield f"{selector.name}: {matcher.name} is never {matcher.value}"
    yield from (f"nothing there has the label {label}" for label in sorted(grouped - known))


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_can_fire(rule: dict[str, Any]) -> None:
    """Its expression is PromQL about what is measured; it is told with how bad it is and what to do."""
    assert list(problems(rule["expr"])) == []
    assert rule["labels"]["severity"] in ("warning", "critical")
    assert set(rule["annotations"]) == {"summary", "description"}
    assert f"### {rule['alert']}\n" in (DEPLOY / "docs" / "operations.md").read_text("utf-8")


def panels() -> list[dict[str, Any]]:
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


@pytest.mark.parametrize("panel", panels(), ids=lambda panel: panel["title"])
def test_a_panel_shows_something(panel: dict[str, Any]) -> None:
    """Each of its queries is PromQL about what is measured, and its legend names labels of the answer."""
    assert panel["targets"]
    for target in panel["targets"]:
        assert list(problems(target["expr"])) == []
        _, grouped = parsed(target["expr"])
        assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= grouped - {"le"}


def test_panels_do_not_overlap() -> None:
    """On a grid 24 wide; each has an id of its own and says what it shows."""
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    assert all(panel["description"] for panel in panels())


def test_everything_measured_is_shown_or_watched() -> None:
    """A measurement that nobody looks at is forgotten."""
    expressions = [rule["expr"] for rule in ALERTS]
    expressions += [target["expr"] for panel in panels() for target in panel["targets"]]
    asked = {selector.name for expression in expressions for selector in parsed(expression)[0]}
    families = {re.sub(r"_(bucket|count|sum|total|created)$", "", name) for name in MEASURED}
    used = {re.sub(r"_(bucket|count|sum|total)$", "", name) for name in asked}
    assert families - used <= {"tenken_prefix_hits"}


def test_what_is_not_measured_is_noticed() -> None:
    """Else the tests above could not fail."""
    assert list(problems("tenken_reviews")) == ["nobody measures tenken_reviews"]
    assert list(problems('tenken_review_seconds_count{outcome="fine"}'))
    assert list(problems('sum by (project) (tenken_open_reviews{project="x"})'))
    with pytest.raises(ValueError, match="unclosed"):
        parsed("rate(tenken_tokens_total[5m]")
