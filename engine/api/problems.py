"""Everything that can be wrong with a request, as application/problem+json (RFC 9457) in two languages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from engine.errors import DiffError, EngineError, InputError
from engine.wire import Language

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:tenken:problem:"


class ProblemKind(StrEnum):
    """The last part of a problem's type. Clients may rely on these."""

    MALFORMED_BODY = "malformed-body"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not-found"
    UNKNOWN_ADAPTER = "unknown-adapter"
    METHOD_NOT_ALLOWED = "method-not-allowed"
    BODY_TOO_LARGE = "body-too-large"
    UNSUPPORTED_MEDIA_TYPE = "unsupported-media-type"
    INVALID_REQUEST = "invalid-request"
    INVALID_DIFF = "invalid-diff"
    INVALID_ADAPTER = "invalid-adapter"
    TOO_MANY_FILES = "too-many-files"
    CONFLICT = "conflict"
    TOO_MANY_OPEN_REVIEWS = "too-many-open-reviews"
    QUEUE_FULL = "queue-full"
    BAD_REQUEST = "bad-request"
    INTERNAL = "internal"
    ENGINE_FAILED = "engine-failed"
    NOT_READY = "not-ready"
    SHUTTING_DOWN = "shutting-down"

    @property
    def status(self) -> int:
        """Its HTTP status."""
        return _STATUS[self]


_STATUS = {
    ProblemKind.MALFORMED_BODY: 400,
    ProblemKind.BAD_REQUEST: 400,
    ProblemKind.UNAUTHENTICATED: 401,
    ProblemKind.FORBIDDEN: 403,
    ProblemKind.NOT_FOUND: 404,
    ProblemKind.UNKNOWN_ADAPTER: 404,
    ProblemKind.METHOD_NOT_ALLOWED: 405,
    ProblemKind.CONFLICT: 409,
    ProblemKind.BODY_TOO_LARGE: 413,
    ProblemKind.UNSUPPORTED_MEDIA_TYPE: 415,
    ProblemKind.INVALID_REQUEST: 422,
    ProblemKind.INVALID_DIFF: 422,
    ProblemKind.INVALID_ADAPTER: 422,
    ProblemKind.TOO_MANY_FILES: 422,
    ProblemKind.TOO_MANY_OPEN_REVIEWS: 429,
    ProblemKind.QUEUE_FULL: 429,
    ProblemKind.INTERNAL: 500,
    ProblemKind.ENGINE_FAILED: 500,
    ProblemKind.NOT_READY: 503,
    ProblemKind.SHUTTING_DOWN: 503,
}

_TITLES: Mapping[ProblemKind, tuple[str, str]] = {
    ProblemKind.MALFORMED_BODY: ("The body is not JSON.", "本文が JSON ではありません。"),
    ProblemKind.BAD_REQUEST: ("The request is not valid HTTP.", "HTTP リクエストが正しくありません。"),
    ProblemKind.UNAUTHENTICATED: ("A valid token is needed.", "有効なトークンが必要です。"),
    ProblemKind.FORBIDDEN: ("The token does not allow this.", "このトークンでは許可されていません。"),
    ProblemKind.NOT_FOUND: ("There is nothing here.", "見つかりません。"),
    ProblemKind.UNKNOWN_ADAPTER: ("There is no such adapter.", "そのアダプターはありません。"),
    ProblemKind.METHOD_NOT_ALLOWED: (
        "This cannot be done here.",
        "このメソッドは使えません。",
    ),
    ProblemKind.CONFLICT: ("The present state does not allow this.", "現在の状態では実行できません。"),
    ProblemKind.BODY_TOO_LARGE: ("The body is too large.", "本文が大きすぎます。"),
    ProblemKind.UNSUPPORTED_MEDIA_TYPE: (
        "The body has to be of another media type.",
        "本文のメディアタイプが正しくありません。",
    ),
    ProblemKind.INVALID_REQUEST: ("A field cannot be used.", "使用できない項目があります。"),
    ProblemKind.INVALID_ADAPTER: ("The adapter cannot be used.", "アダプターを使用できません。"),
    ProblemKind.INVALID_DIFF: ("The diff cannot be read.", "差分を読み取れません。"),
    ProblemKind.TOO_MANY_FILES: ("The diff has too many files.", "差分のファイル数が多すぎます。"),
    ProblemKind.TOO_MANY_OPEN_REVIEWS: (
        "Too many reviews and questions of this token are open.",
        "このトークンで実行中のレビューと質問が多すぎます。",
    ),
    ProblemKind.QUEUE_FULL: ("The engine is busy.", "エンジンが混み合っています。"),
    ProblemKind.INTERNAL: (
        "Something broke; the engine's log says what.",
        "内部エラーです。詳細はエンジンのログにあります。",
    ),
    ProblemKind.ENGINE_FAILED: ("The model failed.", "モデルの実行に失敗しました。"),
    ProblemKind.NOT_READY: ("The model is not loaded.", "モデルが読み込まれていません。"),
    ProblemKind.SHUTTING_DOWN: ("The engine is shutting down.", "エンジンは停止処理中です。"),
}


class FieldError(BaseModel):
    """What is wrong with one field."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    field: str
    message: str


class ProblemBody(BaseModel):
    """Problem details for a machine (`type`) and a person (`title`, `detail`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: str = Field(pattern=f"^{TYPE_PREFIX}[a-z-]+$")
    title: str
    status: int
    detail: str = ""
    line: int | None = Field(default=None, description="Of the diff, for invalid-diff.")
    errors: tuple[FieldError, ...] = Field(default=(), description="For invalid-request.")


@dataclass(eq=False)
class Problem(Exception):
    """Raised anywhere below a handler; becomes the response."""

    kind: ProblemKind
    detail: str = ""  # in English where it comes from the engine
    language: Language | None = None  # None: what Accept-Language says
    line: int | None = None
    errors: tuple[FieldError, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)

    def body(self, language: Language = Language.EN) -> ProblemBody:
        """Return what is sent, in the request's own language or else in `language`."""
        english, japanese = _TITLES[self.kind]
        chosen = self.language or language
        return ProblemBody(
            type=TYPE_PREFIX + self.kind,
            title=japanese if chosen is Language.JA else english,
            status=self.kind.status,
            detail=self.detail,
            line=self.line,
            errors=self.errors,
        )


def invalid(error: ValidationError, language: Language | None = None) -> Problem:
    """Return the problem of a body that pydantic refused, without any of its values."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    if any(entry["type"] == "json_invalid" for entry in found):
        return Problem(ProblemKind.MALFORMED_BODY, found[0]["msg"], language)
    errors = tuple(_field_error(entry) for entry in found[:20])
    detail = "; ".join(": ".join(filter(None, (entry.field, entry.message))) for entry in errors[:3])
    return Problem(ProblemKind.INVALID_REQUEST, detail, language, errors=errors)


def _field_error(entry: ErrorDetails) -> FieldError:
    """Where no field alone is to blame, it is empty and the message says which are."""
    message = entry["msg"].removeprefix("Value error, ")
    return FieldError(field=".".join(map(str, entry["loc"]))[:200], message=message)


def problem_of(error: EngineError | InputError, language: Language) -> Problem:
    """Return what a caller is told of an error of the pipeline."""
    if isinstance(error, DiffError):
        return Problem(ProblemKind.INVALID_DIFF, error.reason, language, error.line)
    if isinstance(error, InputError):
        return Problem(ProblemKind.INVALID_REQUEST, str(error), language)
    return Problem(ProblemKind.ENGINE_FAILED, str(error), language)


def titles() -> Mapping[ProblemKind, tuple[str, str]]:
    """Return every title in English and Japanese."""
    return _TITLES
