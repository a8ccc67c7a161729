"""`tenken`, also `python -m engine`: picks the command and turns errors into one line and an exit code."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from engine.cli import adapters, ask, bundle, doctor, feedback, review, serve, token
from engine.cli.command import Parser, Surroundings, exit_codes_text
from engine.errors import InputError, TenkenError
from engine.exits import ExitCode
from engine.offline import go_offline
from engine.opening import OpenRunner, open_runner
from engine.sanitize import one_line
from engine.version import tool_version

COMMANDS = (
    review.COMMAND,
    ask.COMMAND,
    doctor.COMMAND,
    serve.COMMAND,
    token.COMMAND,
    adapters.COMMAND,
    feedback.COMMAND,
    bundle.COMMAND,
)


def main(argv: Sequence[str] | None = None, *, runner: OpenRunner = open_runner) -> int:
    """Run one command and return the exit code."""
    _never_fail_to_encode()
    go_offline()
    arguments = build_parser().parse_args(argv)
    try:
        code = arguments.run(arguments, Surroundings(Path.cwd(), runner))
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has seen enough. Python would fail once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.OK
    except TenkenError as error:
        print(f"tenken: {one_line(str(error))}", file=sys.stderr)
        return ExitCode.USAGE if isinstance(error, InputError) else ExitCode.ENGINE
    except KeyboardInterrupt:
        print("tenken: interrupted", file=sys.stderr)
        return ExitCode.INTERRUPTED
    return int(code)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = Parser(
        prog="tenken",
        description="On-premises AI code review.",
        epilog=exit_codes_text(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"tenken {tool_version()}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=Parser)
    for command in COMMANDS:
        sub = commands.add_parser(
            command.name,
            help=command.summary,
            description=command.summary,
            epilog=exit_codes_text(),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add_arguments(sub)
        sub.set_defaults(run=command.run)
    return parser


def _never_fail_to_encode() -> None:
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


if __name__ == "__main__":
    sys.exit(main())
