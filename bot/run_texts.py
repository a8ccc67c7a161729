"""Every static text of a review on its way, in English and Japanese: progress, and why there is none.

What stands in braces is Markdown that was made harmless by whoever fills it in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bot.work import FailureKind
from engine.wire import Language


@dataclass(frozen=True, slots=True)
class RunTexts:
    """All texts of one language."""

    waiting: str
    waiting_turn: str  # {count}
    waiting_alone: str
    waiting_training: str
    reading: str  # {done} {files}
    publishing: str
    eta_seconds: str  # {seconds}
    eta_minutes: str  # {minutes}
    failed: str
    failed_command: str
    reason: Mapping[FailureKind, str]  # of `INPUT`: {text}
    again: str
    again_command: str
    closed: str
    status_running: str
    status_given_up: str


_ENGLISH = RunTexts(
    waiting="The review waits for the engine.",
    waiting_turn="The review waits for its turn. Other reviews that run or wait: {count}",
    waiting_alone="The review waits for its turn.",
    waiting_training="The review waits: the model is being trained. It begins by itself when that is done.",
    reading="Reviewing: {done} of {files} files",
    publishing="Writing the findings",
    eta_seconds="about {seconds} s left",
    eta_minutes="about {minutes} min left",
    failed="The review could not be done.",
    failed_command="The command could not be done.",
    reason={
        FailureKind.GITLAB: "GitLab did not give what is needed for it, or did not take the result.",
        FailureKind.ENGINE: "The engine cannot work at the moment.",
        FailureKind.INPUT: "{text}",
        FailureKind.TIME: "It took too long.",
        FailureKind.MOVED: "The merge request was pushed to again and again meanwhile.",
        FailureKind.CRASH: "It ended the process several times.",
        FailureKind.INTERNAL: "A fault of this program; its log has it.",
    },
    again="`/review` tries it again.",
    again_command="A new note with the command tries it again.",
    closed="The merge request is not open any more, so it is not reviewed.",
    status_running="The review is on its way",
    status_given_up="The review could not be done",
)

_JAPANESE = RunTexts(
    waiting="エンジンの空きを待っています。",
    waiting_turn="順番を待っています。実行中・待機中のほかのレビュー：{count} 件",
    waiting_alone="順番を待っています。",
    waiting_training="モデルを学習中のため待っています。学習が終わると自動的に始まります。",
    reading="レビュー中：{files} ファイル中 {done} ファイル完了",
    publishing="指摘を書き込んでいます",
    eta_seconds="残り約 {seconds} 秒",
    eta_minutes="残り約 {minutes} 分",
    failed="レビューを完了できませんでした。",
    failed_command="コマンドを実行できませんでした。",
    reason={
        FailureKind.GITLAB: "GitLab から必要な情報を取得できないか、結果を書き込めませんでした。",
        FailureKind.ENGINE: "エンジンが現在利用できません。",
        FailureKind.INPUT: "{text}",
        FailureKind.TIME: "時間がかかりすぎました。",
        FailureKind.MOVED: "レビュー中にマージリクエストが繰り返し更新されました。",
        FailureKind.CRASH: "処理中にプロセスが繰り返し終了しました。",
        FailureKind.INTERNAL: "プログラムの不具合です。詳細はログに記録されています。",
    },
    again="`/review` でもう一度実行できます。",
    again_command="同じコマンドを新しいコメントに書くと、もう一度実行できます。",
    closed="マージリクエストは既にオープンではないため、レビューしません。",
    status_running="レビューを実行しています",
    status_given_up="レビューを完了できませんでした",
)

RUN_TEXTS: Mapping[Language, RunTexts] = {Language.EN: _ENGLISH, Language.JA: _JAPANESE}
