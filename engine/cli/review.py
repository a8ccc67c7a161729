"""`tenken review`: a change out of git or a file -> findings on the terminal, a report, an exit code."""

from __future__ import annotations

import argparse
import sys
from contextlib import closing
from pathlib import Path

from engine import changes
from engine.changes import Change
from engine.cli.command import Command, Surroundings
from engine.cli.interrupts import interruptible
from engine.cli.output import Output
from engine.cli.where import add_adapter, add_where, engine_elsewhere, remembered
from engine.client import LocalReviewClient, ReviewClient
from engine.config import (
    CONFIG_NAME,
    ProjectConfig,
    load_config,
    load_config_at,
    read_guidelines,
    repository_root,
)
from engine.errors import InputError
from engine.exits import ExitCode
from engine.findings import Severity
from engine.formats import FORMATS, lines_of
from engine.logs import warnings_on_stderr
from engine.opening import calibration_of
from engine.parsing import parse_diff
from engine.review import review_without_model
from engine.runners import Cancellation
from engine.settings import load_settings
from engine.wire import Language, Review, ReviewRequest


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `tenken review` understands."""
    change = parser.add_argument_group("what to review (the working tree if nothing is given)")
    source = change.add_mutually_exclusive_group()
    source.add_argument("--staged", action="store_true", help="what `git commit` would record now")
    source.add_argument("--commit", nargs="?", const="HEAD", metavar="REV", help="one commit; HEAD if no REV")
    source.add_argument("--range", metavar="A..B", help="between two revisions; A...B since B left A")
    source.add_argument("--diff", metavar="FILE", help="a unified diff; - reads standard input")
    change.add_argument("--path", action="append", metavar="PATTERN", help="only these paths; repeatable")
    change.add_argument("--exclude", action="append", metavar="PATTERN", help="not these paths; repeatable")

    how = parser.add_argument_group(f"how (each goes before {CONFIG_NAME})")
    how.add_argument("--lang", choices=[language.value for language in Language], help="language of messages")
    how.add_argument("--severity", choices=_severities(), help="leave out findings below")
    how.add_argument("--max-findings", type=int, metavar="N", help="keep the N most certain")
    how.add_argument(
        "--config-from",
        metavar="REV",
        help=f"read {CONFIG_NAME} of this revision: for a change by somebody who must not choose it",
    )
    how.add_argument("--guidelines", type=Path, metavar="FILE", help="the team's rules, plain text")
    add_adapter(how)
    add_where(parser)

    out = parser.add_argument_group("output")
    out.add_argument(
        "--format", choices=list(FORMATS), default="terminal", help="of the report; terminal if not given"
    )
    out.add_argument(
        "--output", type=Path, metavar="FILE", help="write the report there; the terminal shows findings"
    )
    out.add_argument(
        "--report",
        type=_report,
        action="append",
        default=[],
        metavar="FORMAT=FILE",
        help="write a report in this format, too; repeatable",
    )
    out.add_argument("--fail-on", choices=_severities(), help="exit with 1 from this severity upwards")


def run(arguments: argparse.Namespace, around: Surroundings) -> ExitCode:
    """Review the change that the arguments name."""
    config = _config(arguments, around.folder)
    request = _request(arguments, config, _change(arguments, around.folder))
    line_at = lines_of(parse_diff(request.diff), request.sources)
    output = Output(arguments.format, arguments.output, request.language, line_at, arguments.report)
    with interruptible() as cancellation:
        result = _review(arguments, around, request, output, cancellation)
        output.finish(result)
    if cancellation.cancelled:
        return ExitCode.INTERRUPTED
    floor = Severity(arguments.fail_on) if arguments.fail_on else config.fail_on
    failed = floor is not None and any(finding.severity >= floor for finding in result.findings)
    return ExitCode.FINDINGS if failed else ExitCode.OK


COMMAND = Command("review", "Review a change.", add_arguments, run)


def _review(
    arguments: argparse.Namespace,
    around: Surroundings,
    request: ReviewRequest,
    output: Output,
    cancellation: Cancellation,
) -> Review:
    settings = load_settings()
    if (elsewhere := engine_elsewhere(arguments, settings)) is not None:
        asked = {"adapter": arguments.adapter or "", "project": arguments.project or ""}
        with closing(elsewhere), output.live():
            return _watched(elsewhere, request.model_copy(update=asked), output, cancellation)
    adapter, suppressed = remembered(arguments, settings, around.folder)
    if (result := review_without_model(request)) is not None:
        return result
    if adapter is None:
        print("tenken: no adapter: the base model alone is a poor reviewer", file=sys.stderr)
    with warnings_on_stderr(), output.live():
        runner = around.open_runner(settings, adapter)
        client = LocalReviewClient(runner, calibration_of(adapter), settings.context, suppressed)
        with closing(client):
            return _watched(client, request, output, cancellation)


def _watched(
    client: ReviewClient, request: ReviewRequest, output: Output, cancellation: Cancellation
) -> Review:
    return client.review(
        request, on_progress=output.progress, on_finding=output.finding, cancellation=cancellation
    )


def _config(arguments: argparse.Namespace, folder: Path) -> ProjectConfig:
    if arguments.config_from:
        return load_config_at(folder, arguments.config_from)
    return load_config(repository_root(folder))


def _change(arguments: argparse.Namespace, folder: Path) -> Change:
    if arguments.diff:
        return Change(_read_diff(arguments.diff))
    if arguments.range:
        return changes.between(folder, arguments.range)
    if arguments.commit:
        return changes.commit(folder, arguments.commit)
    return changes.staged(folder) if arguments.staged else changes.working_tree(folder)


def _read_diff(name: str) -> str:
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {name}: {error.strerror}") from error
    return data.decode("utf-8", "replace")


def _request(arguments: argparse.Namespace, config: ProjectConfig, change: Change) -> ReviewRequest:
    """Return the request. A commit's message stays out: adapters are not trained with one in the prompt."""
    guidelines = config.guidelines
    if arguments.guidelines:
        guidelines = read_guidelines(arguments.guidelines, str(arguments.guidelines))
    count = config.max_findings if arguments.max_findings is None else arguments.max_findings
    if not 1 <= count <= 1000:
        raise InputError(f"--max-findings: {count} is not between 1 and 1000")
    return ReviewRequest(
        diff=change.diff,
        sources=change.sources,
        language=Language(arguments.lang or config.language),
        guidelines=guidelines,
        paths=tuple(arguments.path or config.paths),
        exclude=(*config.exclude, *(arguments.exclude or ())),
        severity=Severity(arguments.severity or config.severity),
        max_findings=count,
    )


def _report(text: str) -> tuple[str, Path]:
    name, sign, file = text.partition("=")
    if not sign or not file or name not in FORMATS:
        raise argparse.ArgumentTypeError(f"{text!r} is not FORMAT=FILE; formats are {', '.join(FORMATS)}")
    return name, Path(file)


def _severities() -> list[str]:
    return [severity.value for severity in Severity]
