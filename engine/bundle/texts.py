"""The words of `tenken bundle`, in English and Japanese. Those of a bundle's installer are in install.sh."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from engine.wire import Language


@dataclass(frozen=True, slots=True)
class BundleTexts:
    """All texts of one language."""

    fetching: str  # {extras}
    no_extra: str
    adapter: str  # {version}
    model: str  # {name}
    files: str  # {count}
    made: str  # {directory} {version} {python} {machine} {wheels} {size}


ENGLISH = BundleTexts(
    fetching="fetching wheels for {extras}",
    no_extra="no extra",
    adapter="adapter {version}",
    model="model {name}",
    files="{count} files",
    made="{directory}: tenken {version} for Python {python} on {machine}, {wheels} wheels, {size} MiB; "
    "next, there: ./install.sh",
)

JAPANESE = BundleTexts(
    fetching="wheel を集めています: {extras}",
    no_extra="追加機能なし",
    adapter="アダプター {version}",
    model="モデル {name}",
    files="ファイル {count} 個",
    made="{directory}: tenken {version}(Python {python}、{machine})、wheel {wheels} 個、{size} MiB。"
    "運んだ先で次を実行してください: ./install.sh",
)

BUNDLE_TEXTS: Mapping[Language, BundleTexts] = {Language.EN: ENGLISH, Language.JA: JAPANESE}
