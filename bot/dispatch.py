"""Does errands: asks who may, calls the handler, answers in the thread. Safe to do twice.

👀 on the asking note says that it was heard, ✅ that it is done and 😕 that it is not. An answer carries a
marker, so one that was written before the process ended is not written again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import assert_never

import structlog

from bot.commands import Unknown
from bot.errands import CommandErrand, Errand, HintErrand, ReactionErrand, ReviewErrand
from bot.errors import CommandRefused, GitLabRefused, NotFound
from bot.freshness import merge_request_of
from bot.gitlab import GitLab, Note
from bot.handlers.triggers import start_review, take_opinion
from bot.markers import Marker, MarkerKind, marked, marker_of
from bot.permissions import require
from bot.projects import settings_for
from bot.registry import CommandSpec, Context, Ports, Registry
from bot.texts import TEXTS, Texts
from engine.sanitize import code_span
from engine.wire import Language

HEARD, DONE, NOT_DONE = "eyes", "white_check_mark", "confused"
_REFUSED = "refused"  # of a marker: the answer says no
_NO_THREAD = (400, 404)  # gone, or cannot be replied to
_LONGEST_NAME = 50
_log = structlog.get_logger()


async def perform(errand: Errand, ports: Ports, registry: Registry) -> None:
    """Do an errand. Raises what GitLab and the engine raise; see `bot.errors` for what may pass."""
    match errand:
        case CommandErrand():
            await _run_command(errand, ports, registry)
        case HintErrand():
            await _give_hint(errand, ports, registry)
        case ReviewErrand():
            await start_review(errand, ports, registry)
        case ReactionErrand():
            await take_opinion(errand, ports, registry)
        case _:
            assert_never(errand)


async def answer(errand: CommandErrand | HintErrand, text: str, ports: Ports, *, done: bool = True) -> None:
    """Write `text` where `errand` was asked, once, and show on the asking note what became of it."""
    marker = Marker(MarkerKind.REPLY, _answer_id(errand), {} if done else {_REFUSED: "1"})
    if await _answer_of(errand, ports) is None:
        await _write(errand, marked(text, marker), ports.gitlab)
    if isinstance(errand, CommandErrand):
        await _react(errand, DONE if done else NOT_DONE, ports.gitlab)


async def give_up(errand: Errand, text_in: Callable[[Language], str], ports: Ports) -> None:
    """Tell whoever asked that an errand failed for good; who did not write a command expects no answer."""
    if isinstance(errand, CommandErrand):
        try:
            mr = await ports.gitlab.merge_request(errand.ref)
        except NotFound:
            return
        await answer(errand, text_in((await settings_for(mr, ports.projects)).language), ports, done=False)


async def _run_command(errand: CommandErrand, ports: Ports, registry: Registry) -> None:
    log = _log.bind(name=errand.command.name, project=errand.project_id, mr=errand.iid)
    spec = registry.get(errand.command.name)
    if spec is None:
        log.warning("command.unknown")  # stored by a newer version
        return
    if (old := await _answer_of(errand, ports)) is not None:
        await _react(errand, NOT_DONE if _REFUSED in old.info else DONE, ports.gitlab)
        return
    context = await _context(errand, ports, registry)
    if context is None:
        log.info("command.left", why="the merge request is gone")
        return
    try:
        text = await _permitted(spec, context)
    except CommandRefused as refused:
        await answer(errand, str(refused), ports, done=False)
        log.info("command.refused")
        return
    if text is not None:
        await answer(errand, text, ports)
    log.info("command.done")


async def _permitted(spec: CommandSpec, context: Context) -> str | None:
    require(spec.name, context.registry.access(spec.name), context.access, context.texts)
    await _react(context.errand, HEARD, context.gitlab)
    return await spec.run(context.errand.command, context)


async def _context(errand: CommandErrand, ports: Ports, registry: Registry) -> Context | None:
    """Return the surroundings of a command, or None where the merge request is gone."""
    mr, access = await asyncio.gather(
        merge_request_of(errand, ports.gitlab),
        ports.gitlab.access_level(errand.project_id, errand.actor.id),
    )
    if mr is None:
        return None
    project = errand.project or (await ports.gitlab.project(errand.project_id)).path
    config = await settings_for(mr, ports.projects)
    return Context(errand, mr, access, config, project, ports, registry)


async def _give_hint(errand: HintErrand, ports: Ports, registry: Registry) -> None:
    """Answer a slip of whoever may use commands at all; strangers shall not make the bot write."""
    access = await ports.gitlab.access_level(errand.project_id, errand.actor.id)
    if access < registry.access("help"):
        return
    mr = await merge_request_of(errand, ports.gitlab)
    if mr is None:
        return
    texts = TEXTS[(await settings_for(mr, ports.projects)).language]
    await answer(errand, _hint(errand.unknown, texts, registry), ports)


def _hint(unknown: Unknown, texts: Texts, registry: Registry) -> str:
    if unknown.guess is None:
        commands = texts.separator.join(code_span(f"/{spec.name}") for spec in registry)
        return texts.hint_mention.format(commands=commands)
    written = code_span(f"/{unknown.name[:_LONGEST_NAME]}")
    return texts.hint.format(name=written, guess=code_span(f"/{unknown.guess}"))


def _answer_id(errand: CommandErrand | HintErrand) -> str:
    what = errand.command.key if isinstance(errand, CommandErrand) else errand.kind
    return f"{errand.place.note_id}-{what}"


async def _answer_of(errand: CommandErrand | HintErrand, ports: Ports) -> Marker | None:
    """Return the marker of the answer, if there is one already."""
    wanted = Marker(MarkerKind.REPLY, _answer_id(errand))
    async for note in _notes_around(errand, ports.gitlab):
        if note.author_id == ports.me.id and (marker := marker_of(note.body)) == wanted:
            return marker
    return None


async def _notes_around(errand: CommandErrand | HintErrand, gitlab: GitLab) -> AsyncIterator[Note]:
    """Yield the notes among which the answer is: those of its thread, or else all."""
    if errand.place.discussion_id:
        with suppress(NotFound):
            for note in (await gitlab.discussion(errand.ref, errand.place.discussion_id)).notes:
                yield note
            return
    with suppress(NotFound):
        async for note in gitlab.notes(errand.ref):
            yield note


async def _write(errand: CommandErrand | HintErrand, body: str, gitlab: GitLab) -> None:
    """Answer in the thread; where that cannot be, with a note of its own."""
    place = errand.place
    if place.discussion_id:
        try:
            await gitlab.reply(errand.ref, place.discussion_id, body)
        except GitLabRefused as error:
            if error.status not in _NO_THREAD:
                raise
        else:
            return
    await gitlab.create_note(errand.ref, body, internal=place.internal)


async def _react(errand: CommandErrand, emoji: str, gitlab: GitLab) -> None:
    """Put an emoji on the asking note. It is a courtesy: a note that is gone or locked has none."""
    with suppress(GitLabRefused):
        await gitlab.react(errand.ref, errand.place.note_id, emoji)
