"""Every static text of the language server, in English and Japanese. Data and nothing else.

The two languages are instances of one type, so neither can lack a text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from engine.texts import Counted
from engine.wire import Language
from lsp.outages import State
from lsp.verdicts import WrongReason


@dataclass(frozen=True, slots=True)
class Texts:
    """All texts of one language."""

    state: Mapping[State, str]
    state_reason: str  # {state} {reason}
    wrong_reason: Mapping[WrongReason, str]

    # Reviews
    progress_title: str
    progress_files: str  # {done} {total}
    progress_loading: str
    ended_cancelled: str
    timed_out: str  # {seconds}
    nothing_changed: str
    nothing_new: str
    nothing_excluded: str
    no_repository: str
    excluded_no_repository: str
    excluded_all: str
    files_left_out: Counted
    files_not_reviewed: Counted
    findings: Counted
    feedback_waits: Counted
    threads: Counted
    threads_failed: str  # {reason}
    retry_in: Counted

    # Actions
    apply: str
    preview: str
    preview_why: str
    dismiss: str
    wont_fix: str
    wrong: str  # {reason}
    wrong_ask: str
    explain: str
    copy_prompt: str
    open_thread: str

    # What actions answer
    gone: str
    changed: str
    hidden_here: str
    hidden_team: str
    hidden_wrong: str
    brought_back: str
    nothing_to_undo: str
    not_kept: str  # {reason}
    no_answer: str
    explain_question: str
    explain_title: str
    answer_cut: str
    prompt_title: str
    prompt: str  # {path} {lines} {severity} {category} {message} {code}
    prompt_lines: str  # {lines}
    prompt_suggestion: str  # {suggestion}
    no_thread: str
    no_gitlab: str
    thread_at: str  # {url}

    # Hover and status
    confidence: str  # {percent}
    suggestion: str
    adapter: str  # {adapter}
    engine: str  # {engine}
    fingerprint: str  # {fingerprint}
    status_title: str
    settings_problem: str  # {problem}


_ENGLISH = Texts(
    state={
        State.STARTING: "Tenken is starting.",
        State.IDLE: "Tenken is ready.",
        State.REVIEWING: "Tenken is reviewing.",
        State.LOADING: "The engine is loading its model; the review follows.",
        State.QUEUED: "The engine is busy; the review follows by itself.",
        State.UNREACHABLE: "The engine does not answer; findings stay, and Tenken tries again by itself.",
        State.UNAUTHORIZED: "The engine does not accept the token.",
        State.FAILED: "The review failed.",
        State.NO_ENGINE: "There is no engine: set engineUrl, or run pip install 'tenken[cpu,lsp]'.",
        State.MISCONFIGURED: "A setting cannot be used.",
        State.EXCLUDED: "Nothing here is reviewed.",
        State.OFF: "Tenken is switched off.",
    },
    state_reason="{state} ({reason})",
    wrong_reason={
        WrongReason.NOT_TRUE: "It is not true",
        WrongReason.INTENDED: "It is meant to be so",
        WrongReason.WRONG_LINE: "It is on the wrong line",
        WrongReason.BAD_SUGGESTION: "The suggestion is wrong",
        WrongReason.OTHER: "Something else",
    },
    progress_title="Tenken review",
    progress_files="{done} of {total} files",
    progress_loading="loading the model",
    ended_cancelled="stopped",
    timed_out="The review was stopped after {seconds} s (timeoutSeconds).",
    nothing_changed="Tenken: nothing to review, nothing changed.",
    nothing_new="Tenken: nothing new to review.",
    nothing_excluded="Tenken: nothing to review, settings leave out all that changed (exclude, paths).",
    no_repository="Tenken: nothing to review, this is no git repository.",
    excluded_no_repository="this is no git repository",
    excluded_all="settings leave out all that changed: exclude, paths",
    files_left_out=Counted(
        "{count} file left out (maxFiles, maxDiffKib)", "{count} files left out (maxFiles, maxDiffKib)"
    ),
    files_not_reviewed=Counted("{count} file not reviewed yet", "{count} files not reviewed yet"),
    findings=Counted("{count} finding", "{count} findings"),
    feedback_waits=Counted("{count} verdict waits for the engine", "{count} verdicts wait for the engine"),
    threads=Counted("{count} open thread of the merge request", "{count} open threads of the merge request"),
    threads_failed="the merge request's threads cannot be read: {reason}",
    retry_in=Counted("next attempt in {count} s", "next attempt in {count} s"),
    apply="Apply suggestion",
    preview="Preview suggestion",
    preview_why="Written by a model: read it before it is applied.",
    dismiss="Dismiss here",
    wont_fix="Won't fix (for the team)",
    wrong="Wrong: {reason}",
    wrong_ask="What is wrong with this finding?",
    explain="Explain this finding",
    copy_prompt="Copy as a prompt",
    open_thread="Open the merge request's thread",
    gone="Tenken: this finding is no longer there.",
    changed="Tenken: the code changed since this review.",
    hidden_here="Tenken: hidden on this machine.",
    hidden_team="Tenken: hidden for the team; it will not come back in merge requests.",
    hidden_wrong="Tenken: noted as wrong; it will not come back, and training learns of it.",
    brought_back="Tenken: the finding is shown again.",
    nothing_to_undo="Tenken: there is nothing to take back.",
    not_kept="Tenken: this could not be kept: {reason}",
    no_answer="Tenken: the engine gave no answer.",
    explain_question="Explain this finding: why it is a problem here, and how to fix it.",
    explain_title="Explanation",
    answer_cut="The answer was cut off.",
    prompt_title="Prompt",
    prompt=(
        "A code review found a problem in {path}, {lines} ({severity}, {category}):\n\n"
        "{message}\n\n{code}\n\n"
        "Check whether this is right. If it is, fix it and say what you changed; if not, say why."
    ),
    prompt_lines="line {lines}",
    prompt_suggestion="The review suggests:\n\n{suggestion}",
    no_thread="Tenken: no open merge request has a thread about this finding.",
    no_gitlab="Tenken: set gitlabUrl and gitlabToken to find threads.",
    thread_at="Tenken: the thread is at {url}",
    confidence="{percent} sure",
    suggestion="Suggestion",
    adapter="adapter {adapter}",
    engine="engine {engine}",
    fingerprint="fingerprint {fingerprint}",
    status_title="Tenken",
    settings_problem="Tenken: {problem}",
)

_JAPANESE = Texts(
    state={
        State.STARTING: "Tenken を起動しています。",
        State.IDLE: "Tenken は待機中です。",
        State.REVIEWING: "Tenken がレビューしています。",
        State.LOADING: "エンジンがモデルを読み込んでいます。その後レビューします。",
        State.QUEUED: "エンジンが混み合っています。空き次第レビューします。",
        State.UNREACHABLE: "エンジンが応答しません。指摘は残り、自動的に再試行します。",
        State.UNAUTHORIZED: "エンジンがトークンを受け付けません。",
        State.FAILED: "レビューに失敗しました。",
        State.NO_ENGINE: (
            "エンジンがありません。engineUrl を設定するか、pip install 'tenken[cpu,lsp]' を実行してください。"
        ),
        State.MISCONFIGURED: "使用できない設定があります。",
        State.EXCLUDED: "レビューの対象外です。",
        State.OFF: "Tenken は無効になっています。",
    },
    state_reason="{state}（{reason}）",
    wrong_reason={
        WrongReason.NOT_TRUE: "事実と異なる",
        WrongReason.INTENDED: "意図どおりである",
        WrongReason.WRONG_LINE: "行が違う",
        WrongReason.BAD_SUGGESTION: "修正案が誤っている",
        WrongReason.OTHER: "その他",
    },
    progress_title="Tenken レビュー",
    progress_files="{total} ファイル中 {done} ファイル",
    progress_loading="モデルを読み込み中",
    ended_cancelled="中断しました",
    timed_out="{seconds} 秒でレビューを打ち切りました（timeoutSeconds）。",
    nothing_changed="Tenken: 変更がないため、レビューするものはありません。",
    nothing_new="Tenken: 新たにレビューするものはありません。",
    nothing_excluded="Tenken: 変更はすべて設定（exclude、paths）により対象外です。",
    no_repository="Tenken: git リポジトリではないため、レビューするものはありません。",
    excluded_no_repository="git リポジトリではありません",
    excluded_all="変更はすべて設定（exclude、paths）により除外されています",
    files_left_out=Counted(
        "{count} ファイルを除外（maxFiles、maxDiffKib）", "{count} ファイルを除外（maxFiles、maxDiffKib）"
    ),
    files_not_reviewed=Counted("未レビュー {count} ファイル", "未レビュー {count} ファイル"),
    findings=Counted("指摘 {count} 件", "指摘 {count} 件"),
    feedback_waits=Counted("送信待ちの評価 {count} 件", "送信待ちの評価 {count} 件"),
    threads=Counted(
        "マージリクエストの未解決スレッド {count} 件", "マージリクエストの未解決スレッド {count} 件"
    ),
    threads_failed="マージリクエストのスレッドを読み込めません: {reason}",
    retry_in=Counted("{count} 秒後に再試行", "{count} 秒後に再試行"),
    apply="修正案を適用",
    preview="修正案をプレビュー",
    preview_why="モデルが書いた修正案です。適用する前に内容を確認してください。",
    dismiss="この環境で非表示にする",
    wont_fix="対応しない（チーム全体）",
    wrong="誤った指摘: {reason}",
    wrong_ask="この指摘のどこが誤っていますか？",
    explain="この指摘を説明",
    copy_prompt="プロンプトとしてコピー",
    open_thread="マージリクエストのスレッドを開く",
    gone="Tenken: この指摘はもうありません。",
    changed="Tenken: レビュー後にコードが変更されています。",
    hidden_here="Tenken: この環境で非表示にしました。",
    hidden_team="Tenken: チーム全体で非表示にしました。マージリクエストにも投稿されません。",
    hidden_wrong="Tenken: 誤った指摘として記録しました。再び表示されず、学習に使われます。",
    brought_back="Tenken: 指摘を再び表示しました。",
    nothing_to_undo="Tenken: 取り消すものはありません。",
    not_kept="Tenken: 保存できませんでした: {reason}",
    no_answer="Tenken: エンジンから回答がありませんでした。",
    explain_question="この指摘を説明してください。ここでなぜ問題なのか、どう直せばよいのか。",
    explain_title="説明",
    answer_cut="回答は途中で切れています。",
    prompt_title="プロンプト",
    prompt=(
        "コードレビューで {path} の{lines}に問題が見つかりました（{severity}、{category}）。\n\n"
        "{message}\n\n{code}\n\n"
        "この指摘が正しいか確認してください。"
        "正しければ修正して変更点を説明し、誤りであれば理由を述べてください。"
    ),
    prompt_lines=" {lines} 行目",
    prompt_suggestion="レビューの修正案:\n\n{suggestion}",
    no_thread="Tenken: この指摘のスレッドがあるオープンなマージリクエストはありません。",
    no_gitlab="Tenken: スレッドを探すには gitlabUrl と gitlabToken を設定してください。",
    thread_at="Tenken: スレッドは {url} にあります",
    confidence="確信度 {percent}",
    suggestion="修正案",
    adapter="アダプター {adapter}",
    engine="エンジン {engine}",
    fingerprint="フィンガープリント {fingerprint}",
    status_title="Tenken 点検",
    settings_problem="Tenken 設定: {problem}",
)

TEXTS: Mapping[Language, Texts] = {Language.EN: _ENGLISH, Language.JA: _JAPANESE}


def language_of(locale: str | None) -> Language:
    """Return the language for an editor's locale, such as `ja` or `en-us`."""
    return Language.JA if (locale or "").lower().startswith("ja") else Language.EN
