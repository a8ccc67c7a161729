"""What goes wrong with a server, on demand: each fault is used up by the requests it fits."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class FaultKind(StrEnum):
    """What happens to a request."""

    LIMITED_JSON = "limited_json"  # 429, the reason in a JSON object
    LIMITED_TEXT = "limited_text"  # 429, plain text
    SERVER_ERROR = "server_error"  # 500, nothing done
    BAD_GATEWAY = "bad_gateway"  # 502 with a page of a proxy, nothing done
    ERROR_AFTER = "error_after"  # 500 though it was done
    SILENT_BEFORE = "silent_before"  # no answer within `seconds`, nothing done
    SILENT_AFTER = "silent_after"  # no answer within `seconds` though it was done
    DROPPED_BEFORE = "dropped_before"  # the connection breaks, nothing done
    DROPPED_AFTER = "dropped_after"  # the connection breaks though it was done
    CONFLICT = "conflict"  # 409, nothing done

    @property
    def is_after(self) -> bool:
        """Whether the request has its effect all the same."""
        return self in (FaultKind.ERROR_AFTER, FaultKind.SILENT_AFTER, FaultKind.DROPPED_AFTER)

    @property
    def is_silent(self) -> bool:
        """Whether nothing is answered for a while."""
        return self in (FaultKind.SILENT_BEFORE, FaultKind.SILENT_AFTER)


@dataclass(slots=True)
class Fault:
    """Hits the requests it fits, `skip` of them spared, `times` of them hit."""

    kind: FaultKind
    method: str = ""  # "" for any
    path: str = ""  # a pattern to be found in the path
    times: int = 1
    skip: int = 0
    seconds: float = 1.0  # of silence
    retry_after: int | None = None  # seconds, in Retry-After
    reset_after: int | None = None  # seconds from now, in RateLimit-Reset
    reached: Callable[[], None] = lambda: None  # called when a request is hit, before it is answered

    def hits(self, method: str, path: str) -> bool:
        """Tell whether this request is hit, and use the fault up by one."""
        if not self.times or self.method not in ("", method) or not re.search(self.path, path):
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.times -= 1
        return True
