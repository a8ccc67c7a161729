"""Tables of a report: values and intervals in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from training.bootstrap import Estimate


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def estimate_table(found: Mapping[str, Estimate], names: Mapping[str, str]) -> str:
    """Return measures with their intervals as a table, those without a name by their key."""
    return markdown_table(
        ["measure", "value"], [[names.get(name, name), shown(value)] for name, value in found.items()]
    )


def shown(estimate: Estimate, sign: str = "") -> str:
    """Return a value with its interval, `-` where it has none."""
    if estimate.value is None:
        return "-"
    value = f"{estimate.value:{sign}.3f}"
    if estimate.low is None or estimate.high is None:
        return value
    return f"{value} ({estimate.low:{sign}.3f} to {estimate.high:{sign}.3f})"


def number(value: float | None) -> str:
    """Return a number with three decimals."""
    return "-" if value is None else f"{value:.3f}"
