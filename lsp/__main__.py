"""The `tenken-lsp` command: speaks the Language Server Protocol until the editor says it is over.

`tenken-lsp editors` says where the plugins of editors are.
"""

from __future__ import annotations

import argparse
import gc
import logging
import sys
from collections.abc import Callable, Sequence

from engine.exits import ExitCode
from engine.offline import go_offline
from engine.version import tool_version
from lsp.plugins import EDITORS, find_plugin
from lsp.types_loading import load_types

_GARBAGE = 20_000  # objects made before garbage is looked for; an edit may move a thousand findings
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:  # type: ignore[override]
        self.print_usage(sys.stderr)
        self.exit(ExitCode.USAGE, f"tenken-lsp: {message} (see: tenken-lsp --help)\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve; return the exit code."""
    go_offline()
    options = _parser().parse_args(arguments)
    if options.command == "editors":
        return _tell_plugins(options.editor)
    # Seven hundred classes are made on import; looking for garbage among them takes a tenth of the start.
    gc.disable()
    try:
        load_types()
        from lsp.server import make_server
        from lsp.transport import serve_stdio, serve_tcp
    except ModuleNotFoundError as missing:
        text = f"{missing.name} is not installed; run: pip install 'tenken[lsp]'"
        print(f"tenken-lsp: {text}", file=sys.stderr)
        return ExitCode.ENGINE
    server = make_server(tool_version(), _quiet(_LEVELS[options.log_level]))
    gc.freeze()
    gc.set_threshold(_GARBAGE)
    gc.enable()
    if options.tcp is None:
        return serve_stdio(server)
    try:
        return serve_tcp(server, options.tcp)
    except OSError as error:
        print(f"tenken-lsp: cannot listen on port {options.tcp}: {error.strerror}", file=sys.stderr)
        return ExitCode.USAGE


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="tenken-lsp", description=__doc__)
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--stdio", action="store_true", help="standard input and output; also if not given")
    how.add_argument(
        "--tcp", type=_port, metavar="PORT", help="one connection on 127.0.0.1, for debugging; 0: a free one"
    )
    parser.add_argument("--log-level", choices=list(_LEVELS), default="warning", help="warning if not given")
    parser.add_argument("--version", action="version", version=f"tenken-lsp {tool_version()}")
    commands = parser.add_subparsers(dest="command", metavar="")
    plugins = commands.add_parser("editors", help="list the editors' plugins that came along, or find one")
    plugins.add_argument("editor", nargs="?", choices=EDITORS)
    return parser


def _tell_plugins(editor: str | None) -> int:
    """Print where a plugin is, or all that are there; return the exit code."""
    if editor is None:
        for name in EDITORS:
            if (plugin := find_plugin(name)) is not None:
                print(f"{name}\t{plugin}")
        return ExitCode.OK
    plugin = find_plugin(editor)
    if plugin is None:
        print(f"tenken-lsp: no plugin for {editor} came along with this installation", file=sys.stderr)
        return ExitCode.ENGINE
    print(plugin)
    return ExitCode.OK


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 65_535:
        raise argparse.ArgumentTypeError(f"{text} is not a port")
    return int(text)


def _quiet(level: int) -> Callable[[], None]:
    """Keep libraries from printing, and return what begins the log on standard error.

    pygls logs whole messages, source code included: it is not asked. The log itself takes a sixth of the
    start, so it begins when there is something to say.
    """
    logging.getLogger("pygls").setLevel(logging.CRITICAL + 1)
    logging.getLogger().addHandler(logging.NullHandler())

    def begin() -> None:
        from engine.logs import log_json

        log_json(level)

    return begin


if __name__ == "__main__":
    sys.exit(main())
