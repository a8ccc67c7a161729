"""`tenken-train publish`, `fetch`: adapters into the packages of a GitLab project, and out of them."""

from __future__ import annotations

import argparse
from pathlib import Path

from training.cli.gitlab import add_package, open_packages


def register(subcommands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommands and their options."""
    sending = subcommands.add_parser(
        "publish",
        help="put an adapter into a GitLab project's packages",
        description="Sends the files, the manifest last, and compares what GitLab has with what was sent. "
        "Run again it sends what is missing. With ENGINE_SIGNING_KEY it is signed first, in DIR.sig.",
    )
    sending.add_argument("--adapter", type=Path, required=True, metavar="DIR")
    add_package(sending)
    sending.set_defaults(run=_publish)
    fetching = subcommands.add_parser(
        "fetch",
        help="take an adapter out of a GitLab project's packages",
        description="Takes the newest whole adapter, or the given version. The directory appears when every "
        "hash fits; with ENGINE_VERIFY_KEY, when the signature does.",
    )
    fetching.add_argument("--out", type=Path, required=True, metavar="DIR", help="new, or this adapter's")
    fetching.add_argument("--version", metavar="VERSION", help="default: the newest")
    fetching.add_argument(
        "--or",
        choices=["starter", "nothing"],
        dest="instead",
        help="where the package is empty: the adapter that came along, or none and no error",
    )
    add_package(fetching)
    fetching.set_defaults(run=_fetch)


def _publish(arguments: argparse.Namespace) -> int:
    from engine.adapter_files import check_adapter
    from engine.settings import load_settings
    from engine.signing import sign, signature_of

    packages = open_packages(arguments)
    from training.packages import publish

    check_adapter(arguments.adapter)
    signature, key = signature_of(arguments.adapter), load_settings().signing_key
    if key is not None and not signature.is_file():
        sign(arguments.adapter, key)
    published = publish(packages, arguments.adapter, signature if signature.is_file() else None)
    print(f"sent: {', '.join(published.sent) or 'nothing, all was there'}\n{published.version}")
    return 0


def _fetch(arguments: argparse.Namespace) -> int:
    from engine.errors import UnknownAdapter
    from engine.settings import load_settings

    packages = open_packages(arguments)
    from training.packages import fetch, place_starter

    try:
        adapter = fetch(packages, arguments.out, arguments.version, load_settings().verify_key)
    except UnknownAdapter as error:
        if arguments.instead is None or arguments.version is not None:
            raise
        if arguments.instead == "nothing":
            print(f"nothing: {error}")
            return 0
        adapter = place_starter(arguments.out)
    print(f"{adapter.version}\n{adapter.path}")
    return 0
