"""The words of `tenken-bot check`, in English and Japanese. Data and nothing else.

What an error says stands in the checks as it is, in English. `engine.doctor_texts` has those of the settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from engine.wire import Language


@dataclass(frozen=True, slots=True)
class CheckTexts:
    """All texts of one language."""

    names: Mapping[str, str]  # of checks
    database_advice: str
    gitlab: str  # {url} {version}
    gitlab_advice: str
    gitlab_old_advice: str  # {oldest}
    clock_behind: str  # {seconds}
    clock_ahead: str  # {seconds}
    clock_advice: str
    token_forever: str  # {name} {scopes}
    token_days: str  # {name} {scopes} {days}
    token_renew: str
    token_scope: str
    token_rotate: str
    engine_own: str  # {model}
    engine_not_ready: str  # {url}
    engine_log: str
    engine_advice: str
    project_advice: str
    project_role: str
    project_role_advice: str
    project_hooks_hidden: str
    project_hooks: str  # {count}
    hook_advice: str
    hook_off: str  # {url} {status}
    hook_silent: str  # {url} {events}


ENGLISH = CheckTexts(
    names={name: name for name in ("database", "clock", "token", "engine")},
    database_advice="mend BOT_DATABASE_URL or BOT_DATA_DIR",
    gitlab="{url}, version {version}",
    gitlab_advice="mend BOT_GITLAB_URL or BOT_GITLAB_CA_FILE",
    gitlab_old_advice="from {oldest} on, findings that belong to no line stand at their file",
    clock_behind="{seconds} s behind GitLab's",
    clock_ahead="{seconds} s ahead of GitLab's",
    clock_advice="set it by NTP: signed webhooks are refused else",
    token_forever="of @{name}, scopes {scopes}, does not expire",
    token_days="of @{name}, scopes {scopes}, {days} days left",
    token_renew="make a new one with the scope api: BOT_GITLAB_TOKEN",
    token_scope="make a new one with the scope api",
    token_rotate="rotate it before it expires",
    engine_own="one of its own, with {model}",
    engine_not_ready="{url} is not ready",
    engine_log="look into its log",
    engine_advice="mend BOT_ENGINE_URL, BOT_ENGINE_TOKEN or the engine",
    project_advice="make the bot a member with the role Developer; hooks: tenken-bot register",
    project_role="the bot is no Developer there",
    project_role_advice="give it the role Developer",
    project_hooks_hidden="polled; its hooks are only shown to Maintainers",
    project_hooks="polled, {count} webhooks",
    hook_advice="mend the hook in GitLab",
    hook_off="{url}: {status}, as it failed too often",
    hook_silent="{url}: does not send {events}",
)

JAPANESE = CheckTexts(
    names={
        "database": "データベース",
        "clock": "時計",
        "token": "トークン",
        "engine": "エンジン",
    },
    database_advice="BOT_DATABASE_URL か BOT_DATA_DIR を直してください",
    gitlab="{url}、バージョン {version}",
    gitlab_advice="BOT_GITLAB_URL か BOT_GITLAB_CA_FILE を直してください",
    gitlab_old_advice="{oldest} 以降なら、行に属さない指摘はそのファイルに付きます",
    clock_behind="GitLab より {seconds} 秒遅れています",
    clock_ahead="GitLab より {seconds} 秒進んでいます",
    clock_advice="NTP で合わせてください: ずれていると署名付きの Webhook は拒否されます",
    token_forever="@{name} のもの、スコープ {scopes}、無期限",
    token_days="@{name} のもの、スコープ {scopes}、残り {days} 日",
    token_renew="スコープ api の新しいトークンを作ってください: BOT_GITLAB_TOKEN",
    token_scope="スコープ api の新しいトークンを作ってください",
    token_rotate="期限が切れる前にローテーションしてください",
    engine_own="ボット自身のエンジン、{model}",
    engine_not_ready="{url} はまだ準備ができていません",
    engine_log="エンジンのログを確認してください",
    engine_advice="BOT_ENGINE_URL、BOT_ENGINE_TOKEN、またはエンジンを直してください",
    project_advice="ボットを Developer としてメンバーに加えてください。"
    "Webhook は tenken-bot register で作れます",
    project_role="ボットはここの Developer ではありません",
    project_role_advice="Developer のロールを与えてください",
    project_hooks_hidden="定期的に確認します。Webhook は Maintainer にしか見えません",
    project_hooks="定期的に確認します。Webhook {count} 個",
    hook_advice="GitLab で Webhook を直してください",
    hook_off="{url}: 失敗が続いたため {status} です",
    hook_silent="{url}: {events} が送られません",
)

CHECK_TEXTS: Mapping[Language, CheckTexts] = {Language.EN: ENGLISH, Language.JA: JAPANESE}
