"""`tenken-train collect`, `redact`, `curate`, `label`, `split`: a project's history -> data to train on."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from training.cli.gitlab import TOKEN_VARIABLE, find_token

if TYPE_CHECKING:
    from training.history.project import About
    from training.history.settings import HistorySettings
    from training.history.stages import StageManifest

Subcommands = argparse._SubParsersAction
_SHOWN = 3


def register(subcommands: Subcommands[argparse.ArgumentParser]) -> None:
    """Add the subcommands and their options."""
    collect = _add(
        subcommands,
        "collect",
        _collect,
        "read a project's merge requests, rules and code from GitLab",
        "Reads only. Run again it goes on where it was, and reads what has changed since. The token is in "
        f"{TOKEN_VARIABLE} or in --token-file and needs the scope read_api.",
    )
    collect.add_argument("--url", required=True, help="of GitLab, e.g. https://gitlab.example.com")
    collect.add_argument("--project", required=True, metavar="ID|PATH", help="e.g. group/app")
    collect.add_argument("--token-file", type=Path, metavar="FILE")
    collect.add_argument("--ca-file", type=Path, metavar="FILE", help="certificates to trust, PEM")
    collect.add_argument(
        "--clone",
        type=Path,
        metavar="DIR",
        help="take diffs from this clone: a CI job's token may not read them",
    )
    collect.add_argument("--again", action="store_true", help="read everything anew")
    redact = _add(
        subcommands,
        "redact",
        _redact,
        "replace secrets and personal data",
        "Placeholders keep line numbers. People become pseudonyms. replaced.jsonl lists what was where.",
    )
    redact.add_argument("--data", type=Path, required=True, metavar="DIR", help="--out of collect")
    curate = _add(
        subcommands,
        "curate",
        _curate,
        "keep the remarks that teach something",
        "rejected.jsonl has all others, each with its reason.",
    )
    curate.add_argument("--data", type=Path, required=True, metavar="DIR", help="--out of redact")
    label = _add(
        subcommands,
        "label",
        _label,
        "make review items of remarks, by what became of them",
        "Remarks that were accepted are findings, rejected ones are clean lines, the rest counts as said.",
    )
    label.add_argument("--data", type=Path, required=True, metavar="DIR", help="--out of curate")
    label.add_argument("--feedback", type=Path, metavar="FILE", help="of `tenken feedback export`")
    split = _add(
        subcommands,
        "split",
        _split,
        "hold out the latest merge requests",
        "leaks.jsonl lists the items left out because a held-out one is the same or nearly so.",
    )
    split.add_argument(
        "--data", type=Path, required=True, metavar="DIR", help="--out of label, or review JSONL"
    )


def _add(
    subcommands: Subcommands[argparse.ArgumentParser],
    name: str,
    run: Callable[[argparse.Namespace, HistorySettings], StageManifest],
    about: str,
    more: str,
) -> argparse.ArgumentParser:
    def work(arguments: argparse.Namespace) -> int:
        from training.history.settings import load_history_settings

        show(run(arguments, load_history_settings(arguments.settings)), arguments.out)
        return 0

    parser = subcommands.add_parser(name, help=about, description=f"{about[0].upper()}{about[1:]}. {more}")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="created if it is not there")
    parser.add_argument("--settings", type=Path, metavar="FILE", help="TOML, with a table for each stage")
    parser.set_defaults(run=work)
    return parser


def _collect(arguments: argparse.Namespace, settings: HistorySettings) -> StageManifest:
    from engine.git import Git
    from training.cli.bars import counter
    from training.history.collect import collect
    from training.history.connection import Access, Server
    from training.history.diff_sources import CloneDiffs
    from training.history.project import Project, find_project

    token, is_job = find_token(arguments.token_file)
    access = Access(
        arguments.url.rstrip("/"),
        token,
        is_job,
        arguments.ca_file,
        requests_per_second=settings.collect.requests_per_second,
    )
    server = Server(access)
    about = (_job_project(arguments.project) if is_job else None) or find_project(server, arguments.project)
    diffs = CloneDiffs(server, Git(arguments.clone)) if arguments.clone else None
    project = Project(server, about, settings.collect, diffs, lenient=is_job)
    with counter("merge requests") as step:
        return collect(
            project, arguments.out, settings.collect, again=arguments.again, step=lambda number: step()
        )


def _job_project(project: str) -> About | None:
    """Return what a CI job knows of its own project, which its token may not ask for; None for another."""
    from training.history.project import About

    number, path = os.environ.get("CI_PROJECT_ID", ""), os.environ.get("CI_PROJECT_PATH", "")
    if not number.isdecimal() or project not in (number, path):
        return None
    return About(
        int(number), path, os.environ.get("CI_PROJECT_URL", ""), os.environ.get("CI_DEFAULT_BRANCH", "")
    )


def _redact(arguments: argparse.Namespace, settings: HistorySettings) -> StageManifest:
    from training.history.collect import load_salt
    from training.history.redact import redact
    from training.history.stages import RECORDS

    return redact(arguments.data / RECORDS, arguments.out, settings.redact, load_salt(arguments.data))


def _curate(arguments: argparse.Namespace, settings: HistorySettings) -> StageManifest:
    from training.history.curate import curate
    from training.history.stages import RECORDS

    return curate(arguments.data / RECORDS, arguments.out, settings.curate)


def _label(arguments: argparse.Namespace, settings: HistorySettings) -> StageManifest:
    from training.history.label import label
    from training.history.stages import RECORDS

    return label(arguments.data / RECORDS, arguments.out, settings.label, arguments.feedback)


def _split(arguments: argparse.Namespace, settings: HistorySettings) -> StageManifest:
    from training.history.label import ITEMS
    from training.history.split import split

    source = arguments.data / ITEMS if arguments.data.is_dir() else arguments.data
    return split(source, arguments.out, settings.split)


def show(manifest: StageManifest, out: Path) -> None:
    """Print what a stage did."""
    for name, value in manifest.counts.items():
        if name == "samples" and isinstance(value, Mapping):
            for reason, samples in value.items():
                shown = samples[:_SHOWN] if isinstance(samples, list) else []
                print(f"  dropped, {reason}: " + " | ".join(str(sample) for sample in shown))
        elif isinstance(value, Mapping):
            print(f"{name}: " + (", ".join(f"{key} {count}" for key, count in value.items()) or "none"))
        elif isinstance(value, list):
            for text in value[:_SHOWN]:
                print(f"  {text}")
        else:
            print(f"{name}: {value}")
    print(out)
