"""A fake merge request -> the HTML of the demo's page. Pure: whatever people or models wrote is escaped."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from bot.demo.markdown import to_html
from bot.demo.suggestions import suggestion_in
from bot.demo.texts import PAGE_TEXTS, PageTexts
from bot.fake_gitlab.state import StoredMergeRequest, StoredNote, Thread
from bot.file_changes import file_diff
from engine.diffs import DiffLine, FileDiff, LineKind
from engine.wire import Language

EMOJI = {"eyes": "👀", "white_check_mark": "✅", "confused": "😕", "thumbsup": "👍", "thumbsdown": "👎"}
_SIGNS = {LineKind.ADDED: "+", LineKind.REMOVED: "-", LineKind.CONTEXT: " "}


def page(mr: StoredMergeRequest, project: str, language: Language) -> str:
    """Return the whole page."""
    texts = PAGE_TEXTS[language]
    return f"""<!doctype html>
<html lang="{language}"><head><meta charset="utf-8"><title>{escape(texts.title)}</title>
<meta name="viewport" content="width=device-width"><link rel="stylesheet" href="/style.css">
<link rel="icon" href="data:,"></head>
<body>
<p class="notice">{escape(texts.notice)}</p>
<header><p>{escape(project)} · !{mr.iid}</p><h1>{escape(mr.title)}</h1>
<p><code>{escape(mr.source_branch)}</code> → <code>{escape(mr.target_branch)}</code></p></header>
<main id="view">{view(mr, language)}</main>
<form class="say" method="post" action="/notes"><label for="text">{escape(texts.say)}</label>
<textarea id="text" name="text" rows="2" required placeholder="{escape(texts.hint)}"></textarea>
<button>{escape(texts.send)}</button></form>
<script src="/live.js"></script>
</body></html>
"""


def view(mr: StoredMergeRequest, language: Language) -> str:
    """Return what changes: the discussion and the diff with its threads."""
    texts = PAGE_TEXTS[language]
    files = [file_diff(change) for change in mr.version.changes]
    placed = {thread.id: place for thread in mr.threads if (place := _place(thread, mr, files))}
    general = [thread for thread in mr.threads if thread.id not in placed]
    said = "".join(_thread(thread, texts, mr) for thread in general)
    changes = "".join(_file(file, mr, placed, texts) for file in files)
    return (
        f"<section><h2>{escape(texts.threads)}</h2>{said or f'<p>{escape(texts.nothing)}</p>'}</section>"
        f"<section><h2>{escape(texts.changes)}</h2>{changes}</section>"
    )


_Place = tuple[str, int | None, int | None]


def _place(thread: Thread, mr: StoredMergeRequest, files: list[FileDiff]) -> _Place | None:
    """Return path and line numbers of a thread in the newest diff; None for one that is not in it."""
    position = thread.notes[0].position
    if position is None or position.get("head_sha") != mr.version.refs.head_sha:
        return None
    path, old, new = position.get("new_path"), position.get("old_line"), position.get("new_line")
    here = (str(path), old if isinstance(old, int) else None, new if isinstance(new, int) else None)
    shown = {(file.new_path, *_numbers(line)) for file in files for hunk in file.hunks for line in hunk.lines}
    return here if here in shown else None


def _numbers(line: DiffLine) -> tuple[int | None, int | None]:
    return line.old_number, line.new_number


def _file(file: FileDiff, mr: StoredMergeRequest, placed: dict[str, _Place], texts: PageTexts) -> str:
    by_place: dict[_Place, list[Thread]] = {}
    for thread in mr.threads:
        if thread.id in placed:
            by_place.setdefault(placed[thread.id], []).append(thread)
    rows = "".join(_rows(file, by_place, mr, texts))
    return f'<h3>{escape(file.new_path)}</h3><table class="diff"><tbody>{rows}</tbody></table>'


def _rows(
    file: FileDiff, threads: dict[_Place, list[Thread]], mr: StoredMergeRequest, texts: PageTexts
) -> Iterator[str]:
    for hunk in file.hunks:
        header = f"@@ -{hunk.old_start},{hunk.old_count} +{hunk.new_start},{hunk.new_count} @@ {hunk.section}"
        yield f'<tr class="hunk"><td colspan="3">{escape(header)}</td></tr>'
        for line in hunk.lines:
            old, new = line.old_number or "", line.new_number or ""
            text = escape(f"{_SIGNS[line.kind]}{line.text}")
            yield f'<tr class="{line.kind}"><td>{old}</td><td>{new}</td><td><pre>{text}</pre></td></tr>'
            for thread in threads.get((file.new_path, *_numbers(line)), ()):
                yield f'<tr class="talk"><td colspan="3">{_thread(thread, texts, mr)}</td></tr>'


def _thread(thread: Thread, texts: PageTexts, mr: StoredMergeRequest) -> str:
    first = thread.notes[0]
    state = ""
    if first.resolved_by is not None:
        state = f'<p class="state">✅ {escape(texts.resolved)}: @{escape(first.resolved_by.username)}</p>'
    elif first.position is not None and first.position.get("head_sha") != mr.version.refs.head_sha:
        where = f"{first.position.get('new_path')}:{first.position.get('new_line') or ''}"
        state = f'<p class="state"><code>{escape(where)}</code> {escape(texts.outdated)}</p>'
    notes = "".join(_note(note, texts, mr) for note in thread.notes)
    answer = (
        f'<form method="post" action="/notes"><input type="hidden" name="thread" value="{escape(thread.id)}">'
        f'<input name="text" required placeholder="{escape(texts.reply)}">'
        f"<button>{escape(texts.send)}</button></form>"
    )
    folded = "" if first.resolved_by is None else " settled"
    return f'<article class="thread{folded}">{state}{notes}{answer}</article>'


def _note(note: StoredNote, texts: PageTexts, mr: StoredMergeRequest) -> str:
    who = "bot" if note.author.bot else "person"
    emoji = "".join(EMOJI.get(name, f":{escape(name)}:") for _, name, _ in note.awards)
    button = ""
    current = note.position is not None and note.position.get("head_sha") == mr.version.refs.head_sha
    if current and suggestion_in(note.body) is not None:
        button = (
            f'<form method="post" action="/apply"><input type="hidden" name="note" value="{note.id}">'
            f"<button>{escape(texts.apply)}</button></form>"
        )
    return (
        f'<div class="note {who}" id="note_{note.id}"><p class="who">@{escape(note.author.username)}'
        f' <span class="emoji">{emoji}</span></p>{to_html(note.body)}{button}</div>'
    )
