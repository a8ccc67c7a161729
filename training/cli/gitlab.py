"""How subcommands reach GitLab: address, token, certificates. A CI job knows all of them by itself."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import InputError, unimportable

if TYPE_CHECKING:
    from pydantic import SecretStr

    from training.packages import Packages

TOKEN_VARIABLE = "TENKEN_GITLAB_TOKEN"
JOB_TOKEN_VARIABLE = "CI_JOB_TOKEN"
URL_VARIABLE, PROJECT_VARIABLE = "CI_SERVER_URL", "CI_PROJECT_ID"
_PACKAGE = "tenken-adapter"


def add_package(parser: argparse.ArgumentParser) -> None:
    """Add the options that name a package of a project."""
    parser.add_argument("--url", help=f"of GitLab (default: {URL_VARIABLE}, which a CI job has)")
    parser.add_argument(
        "--project", metavar="ID|PATH", help=f"whose packages (default: {PROJECT_VARIABLE}, the job's own)"
    )
    parser.add_argument("--package", default=_PACKAGE, metavar="NAME", help=f"default: {_PACKAGE}")
    parser.add_argument(
        "--token-file", type=Path, metavar="FILE", help=f"default: {TOKEN_VARIABLE}, or {JOB_TOKEN_VARIABLE}"
    )
    parser.add_argument("--ca-file", type=Path, metavar="FILE", help="certificates to trust, PEM")


def open_packages(arguments: argparse.Namespace) -> Packages:
    """Return the package that the arguments name."""
    url = arguments.url or os.environ.get(URL_VARIABLE, "")
    project = arguments.project or os.environ.get(PROJECT_VARIABLE, "")
    if not url or not project:
        raise InputError("--url and --project are needed outside of a CI job")
    token, is_job = find_token(arguments.token_file)
    try:
        from training.history.connection import Access, Server
        from training.packages import Packages
    except ModuleNotFoundError as missing:
        raise unimportable(missing, "gitlab", "gitlab") from missing
    access = Access(url.rstrip("/"), token, is_job, arguments.ca_file)
    return Packages(Server(access, follows=True), project, arguments.package)


def find_token(file: Path | None) -> tuple[SecretStr, bool]:
    """Return the token and whether it is that of a CI job. It is never an argument: others could see it."""
    from pydantic import SecretStr

    if file is not None:
        try:
            text = file.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"--token-file {file}: cannot be read") from error
    else:
        text = os.environ.get(TOKEN_VARIABLE, "").strip()
    if text:
        return SecretStr(text), False
    if job := os.environ.get(JOB_TOKEN_VARIABLE, ""):
        return SecretStr(job), True
    raise InputError(f"no token: set {TOKEN_VARIABLE}, or name a file with --token-file")
