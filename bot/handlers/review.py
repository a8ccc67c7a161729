"""`/review`: have the merge request reviewed."""

from __future__ import annotations

from bot.commands import Command
from bot.errors import CommandRefused
from bot.gitlab import Access
from bot.jobs import Asked, ReviewJob
from bot.options import Given, read_options
from bot.registry import CommandSpec, Context, Option
from engine.findings import Severity
from engine.sanitize import code_span
from engine.wire import Language

_MOST_PATHS = 50
_LONGEST_PATH = 500


async def review(command: Command, context: Context) -> None:
    """Submit a review; its end is reported in the thread."""
    given = read_options(command, COMMAND, context.texts)
    for path in given.words:
        _check_path(path, context)
    if len(given.words) > _MOST_PATHS:
        raise CommandRefused(context.texts.too_many_paths.format(count=_MOST_PATHS))
    if not context.mr.is_open:
        raise CommandRefused(context.texts.not_open)
    await context.ports.jobs.submit_review(_job(given, context))


def _check_path(path: str, context: Context) -> None:
    outside = path.startswith("/") or ".." in path.split("/") or "\0" in path or len(path) > _LONGEST_PATH
    if outside:
        raise CommandRefused(context.texts.path_refused.format(path=code_span(path[:_LONGEST_PATH])))


def _job(given: Given, context: Context) -> ReviewJob:
    errand, place = context.errand, context.place
    severity, language = given.values.get("severity"), given.values.get("lang")
    return ReviewJob(
        project_id=errand.project_id,
        iid=errand.iid,
        key=errand.key,
        received=errand.received,
        asked=(Asked(note_id=place.note_id, discussion_id=place.discussion_id, internal=place.internal),),
        paths=given.words,
        full="full" in given.values,
        severity=Severity(severity) if severity else None,
        language=Language(language) if language else None,
    )


COMMAND = CommandSpec(
    name="review",
    usage="/review [PATH...] [--full] [--severity=info|minor|major|critical] [--lang=en|ja]",
    example="/review src/ --severity=major",
    about={
        Language.EN: "Reviews what has changed since my last review, or everything with `--full`; "
        "only the given paths, if any.",
        Language.JA: "前回のレビュー以降の変更をレビューします。`--full` を付けると全体が対象になります。"
        "パスを指定すると、その範囲だけをレビューします。",
    },
    access=Access.DEVELOPER,
    run=review,
    options=(
        Option("full"),
        Option("severity", tuple(Severity)),
        Option("lang", tuple(Language)),
    ),
)
