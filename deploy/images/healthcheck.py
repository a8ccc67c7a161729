"""Say whether a service on this machine is ready: exit code 0, or 1 with the reason. Needs only Python."""

from __future__ import annotations

import sys
import urllib.error
import urllib.request

_SECONDS = 4


def main(url: str) -> int:
    """Ask once, and through no proxy."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=_SECONDS):
            return 0
    except (OSError, urllib.error.URLError) as error:
        print(f"{url}: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
