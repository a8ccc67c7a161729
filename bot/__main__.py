"""The `tenken-bot` command. Exit codes: 0, 2 for unusable input, 3 for what cannot work, 130."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from bot.cli import check, demo, explain_event, register, serve
from engine.errors import InputError, TenkenError, unimportable
from engine.exits import ExitCode
from engine.offline import go_offline
from engine.sanitize import one_line
from engine.version import tool_version

SUBCOMMANDS = (serve, check, register, explain_event, demo)
"""Modules with `register(subcommands)`, in the order of the help."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand and return its exit code."""
    go_offline()
    arguments = _parser().parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except TenkenError as error:
        return _fail(str(error), ExitCode.USAGE if isinstance(error, InputError) else ExitCode.ENGINE)
    except ModuleNotFoundError as error:
        return _fail(str(unimportable(error, "a library", "bot")), ExitCode.ENGINE)
    except KeyboardInterrupt:
        return _fail("interrupted", ExitCode.INTERRUPTED)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tenken-bot", description="Reviews merge requests in GitLab.")
    parser.add_argument("--version", action="version", version=f"tenken-bot {tool_version()}")
    subcommands = parser.add_subparsers(title="subcommands", required=True, metavar="COMMAND")
    for module in SUBCOMMANDS:
        module.register(subcommands)
    return parser


def _fail(reason: str, code: int) -> int:
    print(f"tenken-bot: {one_line(reason)}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
