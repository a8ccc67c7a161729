"""The `tenken-lsp` command: says that this version has no language server, and what there is instead."""

from __future__ import annotations

import sys

from engine.exits import ExitCode


def main() -> int:
    """Return exit code 3: the part is missing."""
    print(
        "tenken-lsp: this version has no language server yet; `tenken review` reviews the same changes",
        file=sys.stderr,
    )
    return ExitCode.ENGINE


if __name__ == "__main__":
    sys.exit(main())
