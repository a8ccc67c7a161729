"""In front of a Python process, it tells of each attempt to reach another machine, and from where."""

import json
import os
import sys
import traceback

_FILE = os.environ.get("TENKEN_TATTLE")
_LOCAL = ("127.", "::1", "0.0.0.0", "::")
_EVENTS = {"socket.connect": 1, "socket.sendto": 1, "socket.getaddrinfo": 0, "socket.gethostbyname": 0}


def _is_local(host: object) -> bool:
    text = host.decode("utf-8", "replace") if isinstance(host, bytes) else host
    return text in (None, "", "localhost") or (isinstance(text, str) and text.startswith(_LOCAL))


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    place = _EVENTS.get(event)
    if place is None or len(arguments) <= place:
        return
    target = arguments[place]
    if event in ("socket.connect", "socket.sendto"):
        if not isinstance(target, tuple):  # a path: a socket of this machine
            return
        host, shown = target[0], f"{target[0]}:{target[1]}"
    else:
        host, shown = target, str(target)
    if not _is_local(host):
        lines = [f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_stack()[-8:-1]]
        with open(str(_FILE), "a", encoding="utf-8") as file:
            file.write(
                json.dumps({"seen": event, "to": shown, "program": sys.argv[:3], "where": lines}) + "\n"
            )


if _FILE:
    sys.addaudithook(_hook)
