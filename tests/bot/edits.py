"""Random changes of random files, for tests that must hold for any diff."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

WORDS = [
    "x = 1",
    "return x",
    "",
    "    pass",
    "foo(bar)",
    "/close",
    "# 点検",
    "a\tb",
    "}",
    "\\ No newline",
    "-- x",
    "++ y",
]
PATHS = ["src/app.py", "a b.py", "日本語/ファイル.py", "x", "deep/er/the.re", "-dash", 'quo"te.py']


def random_trees(random: Random) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Return two versions of some files: edited, added, removed, renamed, with and without final newlines."""
    before, after = dict[str, bytes](), dict[str, bytes]()
    for path in random.sample(PATHS, random.randint(1, len(PATHS))):
        old = random_lines(random, random.randint(0, 60))
        new = edited(random, old)
        kind = random.choice(["edit", "edit", "edit", "add", "delete", "rename"])
        if kind != "add":
            before[path] = as_text(random, old)
        if kind != "delete":
            after[f"moved/{path}" if kind == "rename" else path] = as_text(random, new)
    return before, after


def random_lines(random: Random, count: int) -> list[str]:
    """Return lines of which many are equal, as in code."""
    return [random.choice(WORDS) if random.random() < 0.5 else f"line {number}" for number in range(count)]


def edited(random: Random, lines: list[str]) -> list[str]:
    """Return the lines with some runs of them removed, replaced or added to."""
    result = list(lines)
    for _ in range(random.randint(1, 5)):
        start = random.randint(0, len(result))
        end = min(len(result), start + random.randint(0, 4))
        result[start:end] = random_lines(random, random.randint(0, 4))
    return result


def as_text(random: Random, lines: list[str]) -> bytes:
    """Return the lines as a file."""
    text = "\n".join(lines)
    return (text + "\n" if text and random.random() < 0.8 else text).encode()


def line_count(tree: Mapping[str, bytes], path: str) -> int:
    """Return how many lines a file has."""
    text = tree[path].decode()
    return text.count("\n") + (not text.endswith("\n")) if text else 0
