"""`tenken bundle`: all that a machine without a network needs, in one directory."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from engine.bundle.making import Wish, make_bundle
from engine.bundle.texts import BUNDLE_TEXTS
from engine.bundle.wheels import Target
from engine.cli.command import Command, Surroundings, add_language
from engine.exits import ExitCode

_EXTRAS = "bot,cpu,lsp,postgres,serve,signing,syntax"
_CHECKOUT = Path(__file__).parents[2]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `tenken bundle` understands."""
    parser.add_argument("directory", type=Path, metavar="DIR", help="to be made")
    parser.add_argument("--extras", default=_EXTRAS, metavar="NAMES", help=f"with commas; {_EXTRAS}")
    parser.add_argument("--adapter", type=Path, action="append", default=[], metavar="DIR", help="repeatable")
    parser.add_argument(
        "--model", type=Path, metavar="PATH", help="another base model than that of the extra cpu"
    )
    parser.add_argument("--python", default="", metavar="3.X", help="of the other machine; this one's")
    parser.add_argument("--machine", default="", metavar="NAME", help="such as aarch64; one like this")
    parser.add_argument(
        "--glibc", default="2.28", metavar="2.X", help="with --machine: the oldest; 2.28 if not given"
    )
    parser.add_argument(
        "--source",
        type=Path,
        default=_CHECKOUT,
        metavar="DIR",
        help="a checkout; the one that this runs from",
    )
    add_language(parser)


def run(arguments: argparse.Namespace, around: Surroundings) -> ExitCode:
    """Make the bundle and say what is in it."""
    extras = tuple(name for name in arguments.extras.replace(",", " ").split())
    wish = Wish(
        source=around.folder / arguments.source,
        extras=tuple(sorted(set(extras))),
        target=Target(arguments.python, arguments.machine, arguments.glibc),
        adapters=tuple(around.folder / path for path in arguments.adapter),
        model=around.folder / arguments.model if arguments.model else None,
    )
    out, texts = around.folder / arguments.directory, BUNDLE_TEXTS[arguments.lang]
    contents = make_bundle(wish, out, lambda text: print(f"tenken: {text}", file=sys.stderr), texts=texts)
    made = texts.made.format(
        directory=out, version=contents.version, python=contents.python, machine=contents.machine,
        wheels=len(contents.wheels), size=_size(out),
    )  # fmt: skip
    print(made)
    return ExitCode.OK


COMMAND = Command("bundle", "Put together what a machine without a network needs.", add_arguments, run)


def _size(folder: Path) -> str:
    return f"{sum(path.stat().st_size for path in folder.rglob('*') if path.is_file()) / 2**20:,.0f}"
