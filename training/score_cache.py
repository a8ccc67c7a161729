"""Raw label probabilities on disk, so that an evaluation can be stopped, resumed and repeated.

`scores.jsonl` starts with a line that names the scorer; then comes one line an item, keyed by the hash of
what the model was shown. An item whose prompt changed is scored again; a file of another scorer is replaced.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from engine.runners import ScoreRequest
from training.scored import Probabilities


class ScoreCache:
    """Scores by request, kept in `path`; every new one is on disk before the next."""

    def __init__(self, path: Path, scorer: str, *, fresh: bool = False) -> None:
        self._path = path
        self._known = {} if fresh else dict(_read(path, scorer))
        lines = [json.dumps({"scorer": scorer}), *(_row(*entry) for entry in self._known.items())]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def get(self, request: ScoreRequest) -> Probabilities | None:
        """Return the request's probabilities if they are known."""
        return self._known.get(request_key(request))

    def put(self, request: ScoreRequest, probabilities: Probabilities) -> None:
        """Keep the request's probabilities."""
        key = request_key(request)
        self._known[key] = probabilities
        with self._path.open("a", encoding="utf-8") as file:
            file.write(_row(key, probabilities) + "\n")


def request_key(request: ScoreRequest) -> str:
    """Return 32 hex digits that stand for the request's text."""
    text = "\0".join((request.prompt, *request.blocks))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _row(key: str, probabilities: Probabilities) -> str:
    return json.dumps({"key": key, "probabilities": probabilities}, separators=(",", ":"))


def _read(path: Path, scorer: str) -> Iterator[tuple[str, Probabilities]]:
    """Yield what `scorer` left; a line cut off by an interruption is not there yet."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        if not lines or json.loads(lines[0]) != {"scorer": scorer}:
            return
        for line in lines[1:]:
            row = json.loads(line)
            yield row["key"], tuple(tuple(probabilities) for probabilities in row["probabilities"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return
