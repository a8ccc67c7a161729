"""Server-sent events as text: lines in, events out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator


def parse_events(lines: Iterable[bytes]) -> Iterator[tuple[str, str]]:
    """Yield (event's name, data) for each complete event; one that is cut off is none."""
    name, data = "message", list[str]()
    for raw in lines:
        line = raw.decode("utf-8", "replace").rstrip("\r\n")
        if not line:
            if data:
                yield name, "\n".join(data)
            name, data = "message", []
            continue
        key, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if key == "event":
            name = value
        elif key == "data":
            data.append(value)
