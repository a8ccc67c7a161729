"""Every static text of the status page, in English and Japanese. Data and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bot.status.facts import JobState
from engine.curves import Objective
from engine.feedback import FeedbackVerdict
from engine.wire import Language


@dataclass(frozen=True, slots=True)
class StatusTexts:
    """All texts of one language."""

    title: str
    skip: str
    other_language: str
    refresh: str
    as_of: str  # {time}
    summary: str
    running: str
    waiting: str
    done_today: str
    failed_today: str
    review_time: str
    seconds: str  # {seconds}
    minutes: str  # {minutes}
    none: str
    workers: str
    worker_alive: str  # {seconds}
    worker_silent: str  # {seconds}
    open_jobs: str
    no_open_jobs: str
    finished_jobs: str
    no_finished_jobs: str
    columns: tuple[str, str, str, str, str, str]
    state: Mapping[JobState, str]
    kind: Mapping[str, str]
    reason: Mapping[str, str]
    project: str
    no_projects: str
    feedback: str
    feedback_unknown: str
    no_feedback: str
    useful: str  # {percent} {count}
    verdict: Mapping[FeedbackVerdict, str]
    adapters: str
    adapters_unknown: str
    no_adapters: str
    adapter_columns: tuple[str, str, str, str]
    useful_column: str
    scores_by_version: str
    chart: str  # {score} {first} {last} {versions}
    losses: str
    training_now: str
    steps_done: str  # {done} {total}
    training_loss: str
    validation_loss: str
    from_to: str  # {name} {first} {last}
    sentence: str  # between two of these
    axis_step: str
    axis_loss: Mapping[Objective, str]
    kept: str  # {step}
    numbers: str
    loss_columns: tuple[str, str, str]
    engine_away: str


_ENGLISH = StatusTexts(
    title="Tenken status",
    skip="Skip to the content",
    other_language="日本語",
    refresh="Refresh",
    as_of="As of {time}",
    summary="At a glance",
    running="running",
    waiting="waiting",
    done_today="done in 24 h",
    failed_today="failed in 24 h",
    review_time="a review takes",
    seconds="{seconds} s",
    minutes="{minutes} min",
    none="–",
    workers="Workers",
    worker_alive="heard of {seconds} s ago",
    worker_silent="silent for {seconds} s",
    open_jobs="Running and waiting",
    no_open_jobs="Nothing runs and nothing waits.",
    finished_jobs="Finished",
    no_finished_jobs="Nothing was finished yet.",
    columns=("What", "Merge request", "State", "Worker", "Asked", "Took"),
    state={
        JobState.WAITING: "waiting",
        JobState.RUNNING: "running",
        JobState.DONE: "done",
        JobState.GIVEN_UP: "superseded",
        JobState.FAILED: "failed",
    },
    kind={
        "review": "Review",
        "errand": "Request",
        "reports": "Report",
        "retrain": "Training data",
        "training": "Training",
    },
    reason={
        "command": "by command",
        "reviewer": "by request",
        "opened": "opened",
        "ready": "ready",
        "pushed": "pushed",
        "caught_up": "caught up",
        "hint": "hint",
    },
    project="Project",
    no_projects="No project has been heard of yet.",
    feedback="Feedback",
    feedback_unknown="The engine does not tell this bot: its token needs the role trainer.",
    no_feedback="Nobody has said anything about findings yet.",
    useful="{percent} % of {count} findings were of use",
    verdict={
        FeedbackVerdict.ACCEPTED: "accepted",
        FeedbackVerdict.APPLIED: "applied",
        FeedbackVerdict.DISMISSED: "dismissed",
        FeedbackVerdict.WRONG: "wrong",
    },
    adapters="Adapters",
    adapters_unknown="The engine does not say.",
    no_adapters="This project has no adapter of its own.",
    adapter_columns=("Version", "State", "Trained", "Scores"),
    useful_column="Of use",
    scores_by_version="Scores from version to version",
    chart="{score}: from {first} to {last} over {versions} versions",
    losses="Loss in training",
    training_now="Training under way",
    steps_done="step {done} of {total}",
    training_loss="training",
    validation_loss="validation",
    from_to="{name}: {first} → {last}",
    sentence="; ",
    axis_step="step",
    axis_loss={Objective.LABELS: "loss, nats a label", Objective.PREFERENCE: "loss of preference"},
    kept="kept: step {step}",
    numbers="Numbers",
    loss_columns=("Step", "Training", "Validation"),
    engine_away="The engine does not answer, so nothing is known of adapters and feedback.",
)

_JAPANESE = StatusTexts(
    title="Tenken の状態",
    skip="本文へ移動",
    other_language="English",
    refresh="更新",
    as_of="{time} 現在",
    summary="概要",
    running="実行中",
    waiting="待機中",
    done_today="24 時間以内に完了",
    failed_today="24 時間以内に失敗",
    review_time="レビューの所要時間",
    seconds="{seconds} 秒",
    minutes="{minutes} 分",
    none="–",
    workers="ワーカー",
    worker_alive="{seconds} 秒前に応答",
    worker_silent="{seconds} 秒間応答なし",
    open_jobs="実行中・待機中",
    no_open_jobs="実行中・待機中の作業はありません。",
    finished_jobs="完了",
    no_finished_jobs="完了した作業はまだありません。",
    columns=("内容", "マージリクエスト", "状態", "ワーカー", "受付", "所要時間"),
    state={
        JobState.WAITING: "待機中",
        JobState.RUNNING: "実行中",
        JobState.DONE: "完了",
        JobState.GIVEN_UP: "新しい依頼に統合",
        JobState.FAILED: "失敗",
    },
    kind={
        "review": "レビュー",
        "errand": "依頼",
        "reports": "報告",
        "retrain": "学習データの準備",
        "training": "学習",
    },
    reason={
        "command": "コマンド",
        "reviewer": "レビュアー指定",
        "opened": "作成",
        "ready": "準備完了",
        "pushed": "プッシュ",
        "caught_up": "巡回で発見",
        "hint": "ヒント",
    },
    project="プロジェクト",
    no_projects="まだプロジェクトがありません。",
    feedback="フィードバック",
    feedback_unknown="エンジンから取得できません。ボットのトークンに trainer ロールが必要です。",
    no_feedback="指摘へのフィードバックはまだありません。",
    useful="{count} 件の指摘のうち {percent} % が役に立ちました",
    verdict={
        FeedbackVerdict.ACCEPTED: "採用",
        FeedbackVerdict.APPLIED: "適用",
        FeedbackVerdict.DISMISSED: "却下",
        FeedbackVerdict.WRONG: "誤り",
    },
    adapters="アダプター",
    adapters_unknown="エンジンから取得できません。",
    no_adapters="このプロジェクト専用のアダプターはありません。",
    adapter_columns=("バージョン", "状態", "学習日時", "スコア"),
    useful_column="有用率",
    scores_by_version="バージョンごとのスコアの推移",
    chart="{score}：{versions} バージョンで {first} から {last} へ",
    losses="学習時の損失",
    training_now="実行中の学習",
    steps_done="{total} ステップ中 {done} ステップ完了",
    training_loss="学習",
    validation_loss="検証",
    from_to="{name}：{first} → {last}",
    sentence="、",
    axis_step="ステップ",
    axis_loss={Objective.LABELS: "損失（ラベルあたり nats）", Objective.PREFERENCE: "選好学習の損失"},
    kept="採用：ステップ {step}",
    numbers="数値",
    loss_columns=("ステップ", "学習", "検証"),
    engine_away="エンジンが応答しないため、アダプターとフィードバックの情報がありません。",
)

STATUS_TEXTS: Mapping[Language, StatusTexts] = {Language.EN: _ENGLISH, Language.JA: _JAPANESE}
