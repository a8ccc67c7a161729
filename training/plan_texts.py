"""The words of a training's plan, in English and Japanese. Data and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from engine.wire import Language
from training.choices import Why


@dataclass(frozen=True, slots=True)
class PlanTexts:
    """All texts of one language."""

    heading: str  # {base} {card}
    data: str  # {rows} {tokens} {validation}
    setting: str
    value: str
    reason: str
    forecast: str  # {steps} {time} {speed}
    compiling: str  # {time}
    several: str  # {processes} {tokens} {each}
    memory: str  # {total} {weights} {adapter} {activations} {head}
    of_card: str  # {room}
    too_much: str
    estimate: str
    ask: str
    declined: str
    seconds: str  # {count}
    minutes: str  # {count}
    hours: str  # {count}
    why: Mapping[Why, str]


ENGLISH = PlanTexts(
    heading="Training {base} on {card}",
    data="{rows} rows, about {tokens} tokens; {validation} rows validate",
    setting="setting",
    value="value",
    reason="why",
    forecast="about {steps} steps in {time}, {speed} tokens a second",
    compiling="about {time} of these go to compiling layers, most at the start; nothing is heard meanwhile",
    several="{processes} processes: {tokens} tokens a step, {each} in each",
    memory="memory: about {total} GiB (weights {weights}, adapter {adapter}, activations {activations}, "
    "logits {head})",
    of_card="of the card's {room} GiB",
    too_much="More than the card has: lower batch_tokens, or set gradient_checkpointing or load_in_4bit.",
    estimate="Time is a guess within a factor of two, memory within a third.",
    ask="Train? [Y/n] ",
    declined="nothing was trained",
    seconds="{count} s",
    minutes="{count} min",
    hours="{count} h",
    why={
        Why.GIVEN: "as given",
        Why.UNSLOTH: "about {unsloth:.0f} min with what it compiles; TRL would take {trl:.0f}",
        Why.TRL_FASTER: "about {trl:.0f} min; Unsloth would take {unsloth:.0f} with what it compiles",
        Why.TRL_MISSING: "Unsloth is not installed",
        Why.TRL_CPU: "on a CPU Unsloth is no faster",
        Why.TRL_SEVERAL: "Unsloth trains in one process",
        Why.BFLOAT16: "bfloat16 fits: from {gib:.1f} of {room:.1f} GiB; 4 bits would be slower by a fifth",
        Why.FOUR_BITS: "bfloat16 would take at least {gib:.1f} of {room:.1f} GiB",
        Why.CPU_PRECISION: "a CPU trains in float32",
        Why.KEEP: "all activations fit: {gib:.1f} GiB; recomputing them costs a quarter of the speed",
        Why.RECOMPUTE: "keeping all activations would take {gib:.1f} of {room:.1f} GiB",
        Why.COMPILE: "about {compiled:.0f} min with compiling; {plain:.0f} without",
        Why.NO_COMPILE: "compiling would take longer than it gains: {compiled:.1f} min for {plain:.1f}",
        Why.COMPILE_CPU: "on a CPU it gains nothing",
        Why.UNSLOTH_COMPILES: "Unsloth does so itself",
        Why.RANK_FEW: "{tokens:,.0f} tokens: a larger adapter would learn them by heart",
        Why.RANK_SOME: "{tokens:,.0f} tokens: what was measured with 14,402 items",
        Why.RANK_MANY: "{tokens:,.0f} tokens: as the starter adapter, which was trained on 45 million",
        Why.LENGTH_ROWS: "{share:.1%} of the rows fit; the longest has {longest:,.0f} tokens",
        Why.LENGTH_MEMORY: "the memory's limit: {share:.1%} of the rows fit; the longest has {longest:,.0f}",
        Why.BATCH_BEST: "as the starter adapter",
        Why.BATCH_STEPS: "smaller than the usual 16,384, so that there are {steps:,.0f} steps in each epoch",
        Why.BATCH_CPU: "on a CPU larger steps are no faster",
        Why.BATCH_MEMORY: "{tokens:,.0f} at once would take {gib:.1f} of {room:.1f} GiB",
        Why.BATCH_SHARED: "{processes:.0f} processes share a step of {tokens:,.0f} tokens",
        Why.BATCH_LONGEST: "a row of {length:,.0f} has to fit each of {processes:.0f} processes: a step has "
        "{step:,.0f} tokens, not {tokens:,.0f}",
        Why.PARTS: "parts of a step of {tokens:,.0f} tokens",
        Why.WHOLE: "a step fits whole",
        Why.EPOCHS_FEW: "little data has to be seen more often",
        Why.EPOCHS_SOME: "the third still helped, measured with 14,402 items",
        Why.EPOCHS_MANY: "enough data: more would only repeat it",
        Why.EPOCHS_TIME: "{wanted:.0f} would help, but each takes {minutes:.0f} min on this CPU",
        Why.RATE_SMALL: "measured with the 270M",
        Why.RATE_LARGE: "usual for LoRA on larger models; not measured here",
        Why.WARMUP: "a twentieth of the steps, at most 50",
        Why.EVALUATE: "ten checkpoints, so that little is lost to an interruption",
        Why.HELD_OUT: "nothing was marked for validation, so a twentieth is drawn for it",
        Why.PATIENCE: "ends when three validations in a row bring nothing; the best step is kept",
        Why.NO_PATIENCE: "nothing to validate with: the last step is kept",
    },
)

JAPANESE = PlanTexts(
    heading="{base} を {card} で学習します",
    data="{rows} 行、約 {tokens} トークン。検証用 {validation} 行",
    setting="設定",
    value="値",
    reason="理由",
    forecast="約 {steps} ステップ、{time}、毎秒 {speed} トークン",
    compiling="そのうち約 {time} は層のコンパイルで、主に開始時です。その間は何も表示されません",
    several="{processes} プロセス: 1 ステップ {tokens} トークン、プロセスあたり {each}",
    memory="メモリ: 約 {total} GiB (重み {weights}、アダプター {adapter}、"
    "活性値 {activations}、ロジット {head})",
    of_card="カードの {room} GiB のうち",
    too_much="カードの容量を超えます。batch_tokens を下げるか、"
    "gradient_checkpointing または load_in_4bit を設定してください。",
    estimate="時間は 2 倍、メモリは 3 分の 1 程度の誤差がある見積もりです。",
    ask="学習を始めますか? [Y/n] ",
    declined="学習しませんでした",
    seconds="{count} 秒",
    minutes="{count} 分",
    hours="{count} 時間",
    why={
        Why.GIVEN: "指定された値",
        Why.UNSLOTH: "コンパイルを含めて約 {unsloth:.0f} 分。TRL では {trl:.0f} 分かかります",
        Why.TRL_FASTER: "約 {trl:.0f} 分。Unsloth はコンパイルを含めて {unsloth:.0f} 分かかります",
        Why.TRL_MISSING: "Unsloth がインストールされていません",
        Why.TRL_CPU: "CPU では Unsloth も速くありません",
        Why.TRL_SEVERAL: "Unsloth は 1 プロセスでのみ学習できます",
        Why.BFLOAT16: "bfloat16 で収まります ({room:.1f} GiB のうち {gib:.1f} GiB)。4 ビットは遅くなります",
        Why.FOUR_BITS: "bfloat16 では {room:.1f} GiB のうち少なくとも {gib:.1f} GiB が必要です",
        Why.CPU_PRECISION: "CPU では float32 で学習します",
        Why.KEEP: "活性値がすべて収まります ({gib:.1f} GiB)。再計算すると 4 分の 1 遅くなります",
        Why.RECOMPUTE: "活性値をすべて残すと {room:.1f} GiB のうち {gib:.1f} GiB が必要です",
        Why.COMPILE: "コンパイルを含めて約 {compiled:.0f} 分。しない場合は {plain:.0f} 分です",
        Why.NO_COMPILE: "コンパイルの元が取れません (する場合 {compiled:.1f} 分、しない場合 {plain:.1f} 分)",
        Why.COMPILE_CPU: "CPU では速くなりません",
        Why.UNSLOTH_COMPILES: "Unsloth が自分で行います",
        Why.RANK_FEW: "{tokens:,.0f} トークン。大きなアダプターでは丸暗記になります",
        Why.RANK_SOME: "{tokens:,.0f} トークン。14,402 件で測定した値です",
        Why.RANK_MANY: "{tokens:,.0f} トークン。4,500 万トークンで学習したスターターと同じです",
        Why.LENGTH_ROWS: "{share:.1%} の行が収まり、最長は {longest:,.0f} です。長い行は除きます",
        Why.LENGTH_MEMORY: "メモリの上限です。{share:.1%} の行が収まり、最長は {longest:,.0f} です",
        Why.BATCH_BEST: "スターターと同じです",
        Why.BATCH_STEPS: "1 エポックを {steps:,.0f} ステップにするため、通常の 16,384 より小さくしています",
        Why.BATCH_CPU: "CPU では大きくしても速くなりません",
        Why.BATCH_MEMORY: "一度に {tokens:,.0f} では {room:.1f} GiB のうち {gib:.1f} GiB が必要です",
        Why.BATCH_SHARED: "{tokens:,.0f} トークンのステップを {processes:.0f} プロセスで分けます",
        Why.BATCH_LONGEST: "{processes:.0f} プロセスのそれぞれに {length:,.0f} の行が収まる必要があるため、"
        "1 ステップは {tokens:,.0f} でなく {step:,.0f} トークンです",
        Why.PARTS: "{tokens:,.0f} トークンのステップを分けます",
        Why.WHOLE: "1 ステップがそのまま収まります",
        Why.EPOCHS_FEW: "データが少ないため、繰り返し学習します",
        Why.EPOCHS_SOME: "14,402 件の測定で 3 回目まで効果がありました",
        Why.EPOCHS_MANY: "データは十分で、これ以上は繰り返しになります",
        Why.EPOCHS_TIME: "{wanted:.0f} が望ましいのですが、この CPU では 1 回に {minutes:.0f} 分かかります",
        Why.RATE_SMALL: "270M で測定した値です",
        Why.RATE_LARGE: "大きなモデルの LoRA で一般的な値です (未測定)",
        Why.WARMUP: "ステップ数の 20 分の 1、最大 50",
        Why.EVALUATE: "中断しても失うものが少ないよう、チェックポイントを 10 回取ります",
        Why.HELD_OUT: "検証用のデータがないため、20 分の 1 を検証に使います",
        Why.PATIENCE: "検証が 3 回続けて改善しなければ終了し、最良のステップを残します",
        Why.NO_PATIENCE: "検証データがないため、最後のステップを残します",
    },
)

TEXTS: Mapping[Language, PlanTexts] = {Language.EN: ENGLISH, Language.JA: JAPANESE}
