"""Mechanical rewrites: right where they are certain, absent where they are not."""

from __future__ import annotations

import pytest

from training.line_rewrites import rewrite_line

REWRITES = [
    ("eqeqeq", "  if (a == 1) {", "  if (a === 1) {"),
    ("eqeqeq", "if (a != b) {", "if (a !== b) {"),
    ("use-isnan", "if (x !== NaN) {", "if (!Number.isNaN(x)) {"),
    ("no-throw-literal", "throw 'late';", "throw new Error('late');"),
    ("radix", "n = parseInt(text)", "n = parseInt(text, 10)"),
    ("E721", "    if type(a) == int:", "    if type(a) is int:"),
    ("E722", "    except:  # all", "    except Exception:  # all"),
    ("G201", 'log.error("no %s", x, exc_info=True)', 'log.exception("no %s", x)'),
    ("S113", "r = requests.get(url(a), stream=True)", "r = requests.get(url(a), stream=True, timeout=10)"),
    ("S506", "data = yaml.load(text, Loader=yaml.Loader)", "data = yaml.safe_load(text)"),
    ("TRY004", "        raise ValueError(text)", "        raise TypeError(text)"),
]
UNCERTAIN = [
    ("eqeqeq", "if (a == null) {"),
    ("eqeqeq", "if (null == a) {"),
    ("eqeqeq", "if (a == 1 && b == 2) {"),
    ("eqeqeq", "if (a === 1) {"),
    ("no-throw-literal", "throw 'late ' + name;"),
    ("S113", "r = requests.get("),
    ("TRY004", "        raise TypeError(text)"),
    ("made-up-rule", "a == b"),
]


@pytest.mark.parametrize(("rule", "line", "fixed"), REWRITES)
def test_a_certain_rewrite(rule: str, line: str, fixed: str) -> None:
    """The line keeps its indentation and everything the rule is not about."""
    assert rewrite_line(rule, line) == fixed


@pytest.mark.parametrize(("rule", "line"), UNCERTAIN)
def test_an_uncertain_rewrite_is_none(rule: str, line: str) -> None:
    """Two candidates, another meaning or nothing to change give no suggestion."""
    assert rewrite_line(rule, line) is None
