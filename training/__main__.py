"""The `tenken-train` command. Exit codes: 0, 2 for unusable input, 3 for an engine that cannot work, 130.

`gate` also answers with 1: the candidate is not to be promoted.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from engine.errors import EngineError, InputError, unimportable
from engine.exits import ExitCode
from engine.offline import go_offline
from training.cli import (
    benchmark,
    convert,
    evaluate,
    export,
    extra,
    gate,
    history,
    inspect,
    pack,
    plan,
    prefer,
    publish,
    retrain,
    sft,
    shuffle,
)

SUBCOMMANDS = (
    *(history, extra, convert, inspect, plan, sft, prefer),
    *(evaluate, shuffle, benchmark, gate, pack, export, publish, retrain),
)
"""Modules with `register(subcommands)`, in the order of the help."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand and return its exit code."""
    go_offline()
    arguments = _parser().parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except InputError as error:
        return _fail(str(error), ExitCode.USAGE)
    except EngineError as error:
        return _fail(str(error), ExitCode.ENGINE)
    except ModuleNotFoundError as error:
        return _fail(str(unimportable(error, "a library", "train")), ExitCode.ENGINE)
    except KeyboardInterrupt:
        return _fail("interrupted", ExitCode.INTERRUPTED)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tenken-train", description="Trains and measures adapters.")
    subcommands = parser.add_subparsers(title="subcommands", required=True, metavar="COMMAND")
    for module in SUBCOMMANDS:
        module.register(subcommands)
    return parser


def _fail(reason: str, code: int) -> int:
    print(f"tenken-train: {reason}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
