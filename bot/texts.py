"""Every static text of the bot's answers to commands, in English and Japanese. Data and nothing else.

The two languages are instances of one type, so neither can lack a text. What stands in braces is Markdown
that was made harmless by whoever fills it in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bot.gitlab import Access
from engine.lifecycle import AdapterState
from engine.wire import Language


@dataclass(frozen=True, slots=True)
class Texts:
    """All texts of one language."""

    role: Mapping[Access, str]
    adapter_state: Mapping[AdapterState, str]
    separator: str

    # Who may, and what was not understood
    refused: str  # {command} {role}
    refused_outsider: str  # {command} {role}
    hint: str  # {name} {guess}
    hint_mention: str  # {commands}
    unknown_option: str  # {command} {option} {options}
    no_options: str  # {command} {option}
    no_value: str  # {option}
    bad_value: str  # {option} {values} {value}
    too_many_words: str  # {command} {usage}
    not_open: str
    not_a_finding: str  # {command}
    learning_not_set_up: str
    config_broken: str  # {error}

    # /help
    help_title: str
    help_columns: tuple[str, str, str]
    help_mention: str  # {mention}
    help_reactions: str
    help_usage: str  # {usage}
    help_example: str  # {example}
    help_role: str  # {role}
    help_unknown: str  # {name}

    # /review
    path_refused: str  # {path}
    too_many_paths: str  # {count}

    # /ask, /explain, /describe
    no_question: str
    question_too_long: str  # {count}
    explain_question: str
    describe_question: str
    describe_title: str
    describe_note: str
    answer_cut: str
    training_now: str
    answered_by: str  # {model}
    with_adapter: str  # {adapter}
    seen_part: str  # {seen} {all}
    left_out: str
    nothing_to_read: str

    # /dismiss, /feedback
    dismissed: str
    feedback_good: str
    feedback_bad: str
    feedback_usage: str  # {usage}

    # /adapters
    no_adapters: str
    adapters_columns: tuple[str, str, str, str]


_ENGLISH = Texts(
    role={
        Access.NONE: "none",
        Access.MINIMAL: "Minimal access",
        Access.GUEST: "Guest",
        Access.REPORTER: "Reporter",
        Access.DEVELOPER: "Developer",
        Access.MAINTAINER: "Maintainer",
        Access.OWNER: "Owner",
    },
    adapter_state={
        AdapterState.CANDIDATE: "candidate",
        AdapterState.CHAMPION: "champion",
        AdapterState.RETIRED: "retired",
        AdapterState.REJECTED: "rejected",
    },
    separator=", ",
    refused="{command} needs the role {role} or above in this project.",
    refused_outsider="{command} is for members of this project with the role {role} or above.",
    hint="There is no command {name}. Did you mean {guess}? `/help` lists all commands.",
    hint_mention="I did not understand that. My commands are {commands}; `/help` says what they do.",
    unknown_option="{command} has no option {option}. Its options are {options}.",
    no_options="{command} has no options, so {option} cannot be given.",
    no_value="{option} takes no value.",
    bad_value="{option} is one of {values}, not {value}.",
    too_many_words="{command} does not understand that. It is used like this: {usage}",
    not_open="I only review open merge requests.",
    not_a_finding="{command} belongs into the thread of one of my findings.",
    learning_not_set_up="Learning is not set up here, so there is nothing to train or to roll back.",
    config_broken="The settings of this project cannot be used: {error}",
    help_title="What I do",
    help_columns=("Command", "What it does", "Who may"),
    help_mention="`{mention} review` does the same as `/review`. Commands stand at the start of a line.",
    help_reactions="👍 or 👎 on a finding tells me what it was worth.",
    help_usage="Usage: {usage}",
    help_example="Example: {example}",
    help_role="Needs the role {role} or above.",
    help_unknown="There is no command {name}.",
    path_refused="{path} is no path within the repository.",
    too_many_paths="At most {count} paths can be given; a directory stands for all that is in it.",
    no_question="What is the question? For example: `/ask Can this be null?`",
    question_too_long="The question is too long; at most {count} characters are read.",
    explain_question="Explain this finding: what can go wrong with this code, and how can it be mended?",
    describe_question="Write a title of one line for this change, and below it a summary of a few sentences.",
    describe_title="Proposed title and summary",
    describe_note="Nothing was changed: take over what you like.",
    answer_cut="The answer was cut off.",
    training_now="The model is being trained, so it answers no questions at the moment. Please ask later.",
    answered_by="Answered by {model}; check what it says.",
    with_adapter="adapter {adapter}",
    seen_part="The model read {seen} of {all} changed files; the others did not fit.",
    left_out="Not all of the code could be read: it is too long for the model.",
    nothing_to_read="There is no text here that the model could read.",
    dismissed="Dismissed: later reviews leave this finding out. `/feedback good` brings it back.",
    feedback_good="Noted: this finding was of use.",
    feedback_bad="Noted: this finding was wrong. Later reviews leave it out.",
    feedback_usage="Was the finding good or bad? {usage}",
    no_adapters="This project has no adapter of its own; its changes are read with the common one.",
    adapters_columns=("Version", "State", "Trained", "Scores"),
)

_JAPANESE = Texts(
    role={
        Access.NONE: "なし",
        Access.MINIMAL: "最小アクセス",
        Access.GUEST: "ゲスト",
        Access.REPORTER: "レポーター",
        Access.DEVELOPER: "デベロッパー",
        Access.MAINTAINER: "メンテナー",
        Access.OWNER: "オーナー",
    },
    adapter_state={
        AdapterState.CANDIDATE: "候補",
        AdapterState.CHAMPION: "使用中",
        AdapterState.RETIRED: "引退",
        AdapterState.REJECTED: "不採用",
    },
    separator="、",
    refused="{command} を使うには、このプロジェクトで「{role}」以上のロールが必要です。",
    refused_outsider="{command} を使えるのは、「{role}」以上のロールを持つプロジェクトメンバーだけです。",
    hint="{name} というコマンドはありません。{guess} のことでしょうか。一覧は `/help` で表示できます。",
    hint_mention="理解できませんでした。使えるコマンドは {commands} です。説明は `/help` で表示できます。",
    unknown_option="{command} に {option} というオプションはありません。使えるオプションは {options} です。",
    no_options="{command} にオプションはないため、{option} は指定できません。",
    no_value="{option} に値は指定できません。",
    bad_value="{option} に指定できる値は {values} です（{value} は指定できません）。",
    too_many_words="{command} の指定を理解できませんでした。使い方：{usage}",
    not_open="レビューできるのは、オープン状態のマージリクエストだけです。",
    not_a_finding="{command} は、指摘のスレッドの中で使ってください。",
    learning_not_set_up="このサーバーでは学習が設定されていないため、学習もロールバックもできません。",
    config_broken="このプロジェクトの設定を読み込めません：{error}",
    help_title="使い方",
    help_columns=("コマンド", "内容", "必要なロール"),
    help_mention="`{mention} review` は `/review` と同じです。コマンドは行頭に書いてください。",
    help_reactions="指摘に 👍 または 👎 を付けると、役に立ったかどうかが記録されます。",
    help_usage="使い方：{usage}",
    help_example="例：{example}",
    help_role="「{role}」以上のロールが必要です。",
    help_unknown="{name} というコマンドはありません。",
    path_refused="{path} はリポジトリ内のパスではありません。",
    too_many_paths="指定できるパスは {count} 個までです。ディレクトリを指定すると、その中も対象になります。",
    no_question="質問を書いてください。例：`/ask この値は null になりますか`",
    question_too_long="質問が長すぎます。{count} 文字以内で書いてください。",
    explain_question="この指摘を説明してください。このコードで何が問題になり、どう直せばよいですか。",
    describe_question="この変更のタイトルを 1 行で書き、その下に数文の要約を書いてください。",
    describe_title="タイトルと要約の案",
    describe_note="マージリクエストは変更していません。必要な部分をお使いください。",
    answer_cut="回答は途中で切れています。",
    training_now="現在モデルを学習中のため、質問に答えられません。しばらくしてからもう一度お試しください。",
    answered_by="{model} による回答です。内容を確認してください。",
    with_adapter="アダプター {adapter}",
    seen_part="変更された {all} ファイルのうち、モデルが読んだのは {seen} ファイルだけです（容量の上限）。",
    left_out="コードが長すぎるため、モデルはすべてを読んでいません。",
    nothing_to_read="ここには、モデルが読めるテキストがありません。",
    dismissed="却下しました。今後のレビューでは、この指摘を省略します。`/feedback good` で元に戻せます。",
    feedback_good="役に立った指摘として記録しました。",
    feedback_bad="誤った指摘として記録しました。今後のレビューでは省略します。",
    feedback_usage="指摘は good と bad のどちらでしたか。{usage}",
    no_adapters="このプロジェクト専用のアダプターはありません。変更は共通のアダプターで確認されます。",
    adapters_columns=("バージョン", "状態", "学習日時", "スコア"),
)

TEXTS: Mapping[Language, Texts] = {Language.EN: _ENGLISH, Language.JA: _JAPANESE}
