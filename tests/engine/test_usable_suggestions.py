"""Which suggestions are shown: those that change the line and leave what stands around it whole."""

import pytest

from engine.suggestions import usable_suggestion


@pytest.mark.parametrize(
    ("line", "suggestion", "language"),
    [
        ("    except:", "except OSError:", "python"),
        ("        set(i * 2 for i in range(30)))", "{i * 2 for i in range(30)})", "python"),
        ('    "a": lambda: f(),', '"a": f,', "python"),
        ("  if (a == b) {", "if (a === b) {", "javascript"),
        ("    x = load(data)", "x = load(\n    data,\n)", "python"),
    ],
)
def test_a_fitting_suggestion_is_indented_like_its_line(line: str, suggestion: str, language: str) -> None:
    """What keeps the brackets and the last mark is shown, each of its lines indented."""
    indent = line[: len(line) - len(line.lstrip())]
    shown = usable_suggestion(suggestion, line, language)
    assert shown == "\n".join(indent + row for row in suggestion.split("\n"))


@pytest.mark.parametrize(
    ("line", "suggestion", "language"),
    [
        ("    x = 1", "x = 1", "python"),
        ("        set(i * 2 for i in range(30)))", "{i * 2 for i in range(30)}", "python"),
        ('    "a": lambda: f(),', '"a": lambda: f()', "python"),
        ('    "a": lambda: f(),', '"a": lambda f()', "python"),
        ("  return (a", "return a;", "java"),
        ("if (a == b) {", "if (a === b)", "javascript"),
        ("name = re.sub('x', '_', path)", "name = re.sub(r'x', '_, path)", "python"),
        ("    except:", "except OSError", "python"),
    ],
)
def test_a_suggestion_that_would_break_the_code_is_dropped(line: str, suggestion: str, language: str) -> None:
    """Nothing changed, a bracket or a comma lost, or Python that no longer parses: better no suggestion."""
    assert usable_suggestion(suggestion, line, language) is None


def test_no_suggestion_stays_none() -> None:
    """A finding without one has none."""
    assert usable_suggestion(None, "x", "python") is None
