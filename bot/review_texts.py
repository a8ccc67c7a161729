"""Every static text of a published review, in English and Japanese. Data and nothing else.

What the formats of the engine say too is in `engine.texts`. What stands in braces is Markdown that was made
harmless by whoever fills it in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from engine.texts import Counted
from engine.wire import Language


@dataclass(frozen=True, slots=True)
class ReviewTexts:
    """All texts of one language."""

    line: str  # {path} {line}
    lines: str  # {path} {line} {end}
    columns: tuple[str, str, str, str]  # severity, place, finding, state
    new: str
    known: str
    dismissed: str
    more: Counted
    settled: Counted
    commit: str  # {commit}
    since: str  # {commit}
    feedback_title: str
    feedback: tuple[str, ...]


_ENGLISH = ReviewTexts(
    line="{path}, line {line}",
    lines="{path}, lines {line} to {end}",
    columns=("Severity", "Place", "Finding", ""),
    new="new",
    known="already reported",
    dismissed="dismissed",
    more=Counted("{count} more finding in the threads", "{count} more findings in the threads"),
    settled=Counted(
        "{count} earlier finding is no longer there; its thread is resolved.",
        "{count} earlier findings are no longer there; their threads are resolved.",
    ),
    commit="Reviewed at {commit}.",
    since="Only what changed since {commit} was read; `/review --full` reads everything.",
    feedback_title="Was this useful?",
    feedback=(
        "👍 or 👎 on a finding tells the reviewer whether it was right. It learns from that.",
        "`/dismiss REASON` in a finding's thread: true or not, it is not wanted here and never comes back.",
        "`/explain` in a finding's thread: why it was raised. `/help`: everything else.",
    ),
)

_JAPANESE = ReviewTexts(
    line="{path} の {line} 行目",
    lines="{path} の {line} 行目から {end} 行目",
    columns=("重要度", "場所", "指摘", ""),
    new="新規",
    known="報告済み",
    dismissed="却下済み",
    more=Counted(
        "ほか {count} 件の指摘は各スレッドにあります", "ほか {count} 件の指摘は各スレッドにあります"
    ),
    settled=Counted(
        "以前の指摘 {count} 件は解消されたため、スレッドを解決済みにしました。",
        "以前の指摘 {count} 件は解消されたため、スレッドを解決済みにしました。",
    ),
    commit="{commit} の時点をレビューしました。",
    since="{commit} 以降の変更だけを確認しました。すべて確認するには `/review --full` を使ってください。",
    feedback_title="この指摘は役に立ちましたか？",
    feedback=(
        "指摘に 👍 または 👎 を付けると、正しかったかどうかがレビュアーに伝わり、学習に使われます。",
        "指摘のスレッドで `/dismiss 理由` と書くと、その指摘は今後表示されません。",
        "指摘のスレッドで `/explain` と書くと理由を説明します。その他のコマンドは `/help` で表示します。",
    ),
)

REVIEW_TEXTS: Mapping[Language, ReviewTexts] = {Language.EN: _ENGLISH, Language.JA: _JAPANESE}
