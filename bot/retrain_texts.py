"""Every static text about a retraining, in English and Japanese. Data and nothing else.

What stands in braces is Markdown that was made harmless by whoever fills it in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from engine.retraining import Outcome, Stage
from engine.wire import Language


@dataclass(frozen=True, slots=True)
class RetrainTexts:
    """All texts of one language."""

    begun: str
    begun_dry: str
    reviews_go_on: str
    reviews_wait: str
    under_way: str  # {text}
    none_running: str
    none_ever: str
    elsewhere: str
    waiting: str
    cancelled: str  # {user}
    cancelled_answer: str
    not_enabled: str
    rolled_back: str  # {version}
    no_admin: str
    title: str
    stage: Mapping[Stage, str]
    stage_of: str  # {number} {stages} {stage}
    merge_requests: str  # {count}
    loss: str  # {line} {first} {last}
    trained_on: str  # {items} {findings} {new} {mrs} {train} {dev} {test}
    examples: str  # {places}
    dropped: str  # {reasons}
    why: Mapping[str, str]  # reason of `curate` -> words
    replaced: str  # {count}
    broken: str  # {count}
    unread: str  # {count}
    replay: str  # {share}
    no_replay: str
    takes: str  # {time}
    seconds: str  # {count}
    minutes: str  # {count}
    hours: str  # {count}
    left: str  # {time}
    outcome: Mapping[Outcome, str]  # {version} {champion} {new} {needed}
    reasons: str
    columns: tuple[str, str, str, str, str]
    measured_on: str  # {items}
    measure: Mapping[str, str]
    base_model: str
    plot: str
    package: str  # {place}
    failed: str
    cannot: str
    again: str
    done: str
    nightly: str


_ENGLISH = RetrainTexts(
    begun="The training begins: first I read the project's history, then I say below what it is trained on "
    "and how "
    "long that takes. `/retrain status` says how far it is, `/retrain cancel` ends it.",
    begun_dry="I read the project's history and then say below what would be trained on, and how long. "
    "Nothing is trained.",
    reviews_go_on="Reviews go on meanwhile.",
    reviews_wait="The engine shares its device with the training: while that runs, reviews wait, and say so.",
    under_way="A training of this project is under way already.\n\n{text}",
    none_running="No training of this project is under way.",
    none_ever="No adapter has been trained for this project here.",
    elsewhere="A training of this project is under way; another worker does it.",
    waiting="It waits for its turn.",
    cancelled="⏹ Ended by {user}. What was trained is kept: `/retrain` goes on where it was.",
    cancelled_answer="The training is ended. What was trained is kept: `/retrain` goes on where it was.",
    not_enabled="Training is not set up here (`BOT_RETRAIN`).",
    rolled_back="{version} reads this project's changes again. Reviews that run go on as they began.",
    no_admin="What serves cannot be changed from here: `BOT_ENGINE_ADMIN_TOKEN` is not set.",
    title="Training of a new adapter",
    stage={
        Stage.COLLECT: "reading the project's history",
        Stage.REDACT: "replacing secrets and personal data",
        Stage.CURATE: "choosing the remarks that teach something",
        Stage.LABEL: "finding out what became of them",
        Stage.SPLIT: "holding out the latest merge requests",
        Stage.TRAIN: "training",
        Stage.EVALUATE: "measuring it beside the adapter in use and the base model",
        Stage.GATE: "deciding",
        Stage.PACK: "packing the adapter",
        Stage.UPLOAD: "bringing it to the engine",
        Stage.PROMOTE: "putting it into use",
    },
    stage_of="{number} of {stages}: {stage}",
    merge_requests="{count} merge requests read",
    loss="Loss `{line}` {first} → {last}",
    trained_on="{items} hunks of {mrs} merge requests, {findings} with remarks, {new} of these new. "
    "Trained on {train}; {dev} validate, and the latest {test} are held out for the measurements.",
    examples="Among them: {places}",
    dropped="Left out: {reasons}",
    why={
        "bot": "by bots",
        "command": "orders to a bot",
        "no_line": "at no line",
        "no_code": "at no added line",
        "broken": "unreadable",
        "author": "by the author of the change",
        "outsider": "by outsiders",
        "chatter": "chatter",
        "question": "bare questions",
        "short": "too short",
        "long": "too long",
        "planted": "planted for a model",
        "duplicate": "duplicates",
        "similar": "near duplicates",
        "repeated": "repetitions",
        "quota": "above one author's share",
    },
    replaced="Secrets and personal data replaced: {count}",
    broken="Records that could not be read: {count}",
    unread="What GitLab did not give, to be asked for again: {count}",
    replay="Starter data is mixed in ({share} of it), so that the model keeps in mind where remarks go.",
    no_replay="No starter data is mixed in.",
    takes="Training and measuring take about {time}.",
    seconds="{count} s",
    minutes="{count} min",
    hours="{count} h",
    left="about {time} left",
    outcome={
        Outcome.PLANNED: "This is what would be trained on. Nothing was trained.",
        Outcome.TOO_LITTLE: "Nothing was trained: {new} remarks are new, and {needed} are needed.",
        Outcome.PROMOTED: "**Promoted.** {version} passed every rule against {champion} and reads this "
        "project's changes from now on. `/rollback` returns to the one before.",
        Outcome.PROPOSED: "**Not promoted yet.** {version} passed every rule against {champion}; it waits "
        "as a candidate for somebody who may promote it: `tenken adapters promote`.",
        Outcome.KEPT: "**Not promoted.** {champion} stays; {version} is kept as a candidate.",
        Outcome.REFUSED: "**Refused.** The new adapter looks as if somebody had tampered with the data. It "
        "is not "
        "kept; {champion} stays.",
    },
    reasons="Why not:",
    columns=("measure", "base model", "before", "now", "difference (95 %)"),
    measured_on="Measured on {items} hunks of the latest merge requests, which were not trained on.",
    measure={
        "top1": "right line first",
        "top1_category": "right line and category first",
        "item_auc": "remark told from clean code (AUC)",
        "silent_clean": "clean code left in peace",
        "false_alarms_per_clean_item": "false alarms for each clean hunk (less is better)",
        "comment_nll": "surprise at the team's own remarks, nats a token (less is better)",
    },
    base_model="the base model",
    plot="Loss, and measures before and after",
    package="Published as {place}.",
    failed="The training could not be done.",
    cannot="The trainer, or the engine, cannot work at the moment; the trainer's log says why.",
    again="`/retrain` goes on where it was.",
    done="✅ Done.",
    nightly="Trained unasked, as every night.",
)

_JAPANESE = RetrainTexts(
    begun="学習を始めます。まずプロジェクトの履歴を読み込み、学習に使うデータと所要時間を下に書きます。"
    "`/retrain status` で進み具合を表示し、`/retrain cancel` で中止します。",
    begun_dry="プロジェクトの履歴を読み込み、学習に使うデータと所要時間を下に書きます。学習は行いません。",
    reviews_go_on="その間もレビューは続きます。",
    reviews_wait="エンジンと学習が同じデバイスを使うため、学習中のレビューは待機し、その旨を表示します。",
    under_way="このプロジェクトの学習は既に進行中です。\n\n{text}",
    none_running="このプロジェクトで進行中の学習はありません。",
    none_ever="このプロジェクトのアダプターは、ここではまだ学習されていません。",
    elsewhere="このプロジェクトの学習は、別のワーカーで進行中です。",
    waiting="順番を待っています。",
    cancelled="⏹ {user} が中止しました。学習した分は保存されています。`/retrain` で続きから再開します。",
    cancelled_answer="学習を中止しました。学習した分は保存されています。`/retrain` で続きから再開します。",
    not_enabled="このサーバーでは学習が設定されていません（`BOT_RETRAIN`）。",
    rolled_back="{version} が再びこのプロジェクトの変更をレビューします。"
    "実行中のレビューはそのまま続きます。",
    no_admin="ここからは使用中のアダプターを変更できません。`BOT_ENGINE_ADMIN_TOKEN` が設定されていません。",
    title="新しいアダプターの学習",
    stage={
        Stage.COLLECT: "プロジェクトの履歴を読み込んでいます",
        Stage.REDACT: "機密情報と個人情報を置き換えています",
        Stage.CURATE: "学習に役立つコメントを選んでいます",
        Stage.LABEL: "コメントがどう扱われたかを調べています",
        Stage.SPLIT: "最新のマージリクエストを評価用に取り分けています",
        Stage.TRAIN: "学習しています",
        Stage.EVALUATE: "使用中のアダプターおよび元のモデルと比べて測定しています",
        Stage.GATE: "判定しています",
        Stage.PACK: "アダプターをまとめています",
        Stage.UPLOAD: "エンジンに送っています",
        Stage.PROMOTE: "使用を開始しています",
    },
    stage_of="{stages} 段階中 {number}：{stage}",
    merge_requests="マージリクエスト {count} 件を読み込み済み",
    loss="損失 `{line}` {first} → {last}",
    trained_on="マージリクエスト {mrs} 件の差分 {items} 個、うちコメント付き {findings} 個（新規 {new} 個）。"
    "学習 {train} 個、検証 {dev} 個、測定用に最新の {test} 個を取り分けます。",
    examples="例：{places}",
    dropped="除外：{reasons}",
    why={
        "bot": "ボットのコメント",
        "command": "ボットへのコマンド",
        "no_line": "行に付いていないもの",
        "no_code": "追加行でない行",
        "broken": "読み取れないもの",
        "author": "変更の作成者自身",
        "outsider": "メンバー以外",
        "chatter": "雑談",
        "question": "内容のない質問",
        "short": "短すぎるもの",
        "long": "長すぎるもの",
        "planted": "モデル向けに仕込まれた文",
        "duplicate": "重複",
        "similar": "ほぼ重複",
        "repeated": "繰り返し",
        "quota": "一人の割合の超過分",
    },
    replaced="置き換えた機密情報と個人情報：{count} 件",
    broken="読み取れなかったレコード：{count} 件",
    unread="GitLab から取得できず、次回もう一度取得するもの：{count} 件",
    replay="指摘の位置を忘れないように、スターターデータを混ぜます（{share}）。",
    no_replay="スターターデータは混ぜません。",
    takes="学習と測定にかかる時間は約 {time} です。",
    seconds="{count} 秒",
    minutes="{count} 分",
    hours="{count} 時間",
    left="残り約 {time}",
    outcome={
        Outcome.PLANNED: "学習に使うデータは以上です。学習は行っていません。",
        Outcome.TOO_LITTLE: "学習しませんでした。新しいコメントは {new} 件で、{needed} 件必要です。",
        Outcome.PROMOTED: "**採用しました。** {version} は {champion} との比較ですべての条件を満たし、"
        "今後このプロジェクトの変更をレビューします。`/rollback` で以前のものに戻せます。",
        Outcome.PROPOSED: "**まだ採用していません。** {version} は {champion} との比較ですべての"
        "条件を満たしました。候補として保存し、権限のある人の採用（`tenken adapters promote`）を待ちます。",
        Outcome.KEPT: "**採用しませんでした。** {champion} を使い続けます。{version} "
        "は候補として保存しました。",
        Outcome.REFUSED: "**拒否しました。** データが改ざんされた可能性があります。"
        "新しいアダプターは保存せず、"
        "{champion} を使い続けます。",
    },
    reasons="理由：",
    columns=("指標", "元のモデル", "以前", "今回", "差（95 %）"),
    measured_on="学習に使っていない、最新のマージリクエストの差分 {items} 個で測定しました。",
    measure={
        "top1": "正しい行を最上位に選んだ割合",
        "top1_category": "正しい行と分類を最上位に選んだ割合",
        "item_auc": "指摘のあるコードの判別（AUC）",
        "silent_clean": "問題のないコードに何も言わなかった割合",
        "false_alarms_per_clean_item": "問題のない差分あたりの誤検知（小さいほど良い）",
        "comment_nll": "チームのコメントに対する驚き（nat／トークン、小さいほど良い）",
    },
    base_model="元のモデル",
    plot="損失と、前後の指標",
    package="{place} として公開しました。",
    failed="学習を完了できませんでした。",
    cannot="学習プロセスまたはエンジンが現在利用できません。詳細は学習ログに記録されています。",
    again="`/retrain` で続きから再開します。",
    done="✅ 完了しました。",
    nightly="毎晩の予定による学習です。",
)

RETRAIN_TEXTS: Mapping[Language, RetrainTexts] = {Language.EN: _ENGLISH, Language.JA: _JAPANESE}
