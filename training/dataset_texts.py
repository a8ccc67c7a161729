"""What a dataset report says, in English and Japanese. Data and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from engine.wire import Language


@dataclass(frozen=True, slots=True)
class DatasetTexts:
    """All texts of one language."""

    title: str
    items: str
    with_findings: str
    findings: str
    broken: str
    value: str
    count: str
    counts: str
    lengths: str
    tokens: str
    code: str
    messages: str
    share: str
    longest: str
    duplicates: str
    same_code: str
    near_code: str
    same_message: str
    diversity: str
    measures: Mapping[str, str]
    suspicions: str
    suspicions_about: str
    no_suspicions: str
    word: str
    outcome: str
    by: Mapping[str, str]
    plots: str
    not_drawn: str


_ENGLISH = DatasetTexts(
    title="Dataset",
    items="items",
    with_findings="items with findings",
    findings="findings",
    broken="lines that could not be read",
    value="value",
    count="count",
    counts="What there is",
    lengths="Lengths",
    tokens="tokens",
    code="code of an item",
    messages="message",
    share="median / 90 % / 99 %",
    longest="longest",
    duplicates="Duplicates",
    same_code="items with the code of an earlier one",
    near_code="items with nearly the code of an earlier one",
    same_message="messages that were said before",
    diversity="Diversity",
    measures={
        "distinct_messages": "distinct messages, of all",
        "distinct_words": "distinct words, of all in messages",
        "distinct_word_pairs": "distinct pairs of words, of all in messages",
        "largest_author_share": "share of the author with most findings",
    },
    suspicions="Words to look at",
    suspicions_about="One author remarks on code with these, always the same, as in planted data.",
    no_suspicions="None.",
    word="word",
    outcome="what is said",
    by={
        "author": "Author",
        "category": "Category",
        "label": "Label",
        "label_source": "Decided by",
        "language": "Language",
        "month": "Month",
        "severity": "Severity",
        "source": "Source",
        "split": "Split",
        "tier": "Tier",
    },
    plots="Plots",
    not_drawn="Not drawn: {reason}.",
)
_JAPANESE = DatasetTexts(
    title="データセット",
    items="項目",
    with_findings="指摘のある項目",
    findings="指摘",
    broken="読めなかった行",
    value="値",
    count="件数",
    counts="内訳",
    lengths="長さ",
    tokens="トークン",
    code="項目のコード",
    messages="メッセージ",
    share="中央値 / 90 % / 99 %",
    longest="最長",
    duplicates="重複",
    same_code="コードが前の項目と同じ項目",
    near_code="コードが前の項目とほぼ同じ項目",
    same_message="前と同じメッセージ",
    diversity="多様性",
    measures={
        "distinct_messages": "異なるメッセージの割合",
        "distinct_words": "メッセージ中の異なる単語の割合",
        "distinct_word_pairs": "メッセージ中の異なる単語対の割合",
        "largest_author_share": "指摘が最も多い人の割合",
    },
    suspicions="確認すべき単語",
    suspicions_about=(
        "これらの単語を含むコードには、一人だけがいつも同じ指摘をしています。"
        "仕込まれたデータはこのように見えます。"
    ),
    no_suspicions="ありません。",
    word="単語",
    outcome="指摘の内容",
    by={
        "author": "書いた人",
        "category": "分類",
        "label": "ラベル",
        "label_source": "判断の根拠",
        "language": "言語",
        "month": "月",
        "severity": "重大度",
        "source": "出所",
        "split": "分割",
        "tier": "階層",
    },
    plots="図",
    not_drawn="図はありません: {reason}",
)

DATASET_TEXTS: Mapping[Language, DatasetTexts] = {Language.EN: _ENGLISH, Language.JA: _JAPANESE}
