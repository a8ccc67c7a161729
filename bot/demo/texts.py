"""The words of the demo's page, in English and Japanese."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from engine.wire import Language


@dataclass(frozen=True, slots=True)
class PageTexts:
    """All texts of one language."""

    title: str
    notice: str
    say: str
    hint: str
    send: str
    reply: str
    apply: str
    outdated: str
    resolved: str
    threads: str
    changes: str
    nothing: str
    mr_title: str
    mr_description: str


_ENGLISH = PageTexts(
    title="Tenken demo",
    notice="This is a demo. The GitLab on this page is a fake, in this process's memory, and is gone when it "
    "ends; the bot is the real one, and so is the model. Nothing leaves this machine.",
    say="Say something in the merge request",
    hint="/review — or /help, /describe, /ask What does export do?",
    send="Send",
    reply="Reply: /dismiss, /explain, /ask …",
    apply="Apply suggestion",
    outdated="on an earlier version",
    resolved="resolved",
    threads="Discussion",
    changes="Changes",
    nothing="Nothing has been said yet. Type /review below.",
    mr_title="Add export and discounts",
    mr_description="Orders can be exported, and customers get discounts.",
)

_JAPANESE = PageTexts(
    title="Tenken デモ",
    notice="これはデモです。このページの GitLab はプロセスのメモリー内の模擬サーバーで、終了すると消えます。"
    "ボットとモデルは本物です。このマシンの外には何も送信しません。",
    say="マージリクエストにコメントする",
    hint="/review または /help、/describe、/ask export は何をしますか？",
    send="送信",
    reply="返信：/dismiss、/explain、/ask …",
    apply="提案を適用",
    outdated="以前のバージョン",
    resolved="解決済み",
    threads="ディスカッション",
    changes="変更",
    nothing="まだコメントはありません。下の欄に /review と入力してください。",
    mr_title="エクスポートと割引を追加",
    mr_description="注文をエクスポートできるようにし、割引を追加します。",
)

PAGE_TEXTS: Mapping[Language, PageTexts] = {Language.EN: _ENGLISH, Language.JA: _JAPANESE}
