"""How each format writes a conversation. Keys that a format does not know are left alone.

alpaca             instruction, input, output; system; history: [[question, answer]]
sharegpt           conversations: [{from: human | gpt | system, value}]
messages           messages: [{role: system | user | assistant, content}]
prompt-completion  prompt, completion: text, or lists of messages
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from training.formats.conversations import BadTurn, Conversation, Role, Turn
from training.records import field_name

Row = dict[str, Any]


class BadRow(ValueError):
    """A row that does not fit its format; `field` says where, "" for the row as a whole."""

    def __init__(self, field: str, reason: str) -> None:
        self.field = field
        self.reason = reason
        super().__init__(f"{field}: {reason}" if field else reason)


@dataclass(frozen=True, slots=True)
class Dialect:
    """One format. `keys` tell a row of it from the others."""

    name: str
    keys: tuple[str, ...]
    read: Callable[[Row], Conversation]
    write: Callable[[Conversation], Row]


class _Alpaca(BaseModel):
    instruction: str = Field(min_length=1)
    input: str = ""
    output: str = Field(min_length=1)
    system: str = ""
    history: tuple[tuple[str, str], ...] = ()


class _Message(BaseModel):
    role: Role
    content: str


class _Messages(BaseModel):
    messages: tuple[_Message, ...] = Field(min_length=1)


class _Said(BaseModel):
    speaker: str = Field(alias="from")
    value: str


class _ShareGpt(BaseModel):
    conversations: tuple[_Said, ...] = Field(min_length=1)
    system: str = ""


class _Pair(BaseModel):
    prompt: str | tuple[_Message, ...]
    completion: str | tuple[_Message, ...]


_SPEAKERS = {
    "human": Role.USER,
    "user": Role.USER,
    "gpt": Role.ASSISTANT,
    "assistant": Role.ASSISTANT,
    "model": Role.ASSISTANT,
    "system": Role.SYSTEM,
}
_NAMES = {Role.USER: "human", Role.ASSISTANT: "gpt", Role.SYSTEM: "system"}


def _read_alpaca(row: Row) -> Conversation:
    found = _Alpaca.model_validate(row)
    question = f"{found.instruction}\n\n{found.input}" if found.input.strip() else found.instruction
    if not found.instruction.strip() or not found.output.strip():
        raise BadRow("output" if found.instruction.strip() else "instruction", "says nothing")
    try:
        return Conversation.of_pairs((*found.history, (question, found.output)), found.system)
    except BadTurn as error:
        raise BadRow("history", error.reason) from error


def _write_alpaca(conversation: Conversation) -> Row:
    *earlier, (question, answer) = conversation.pairs
    row: Row = {"instruction": question, "input": "", "output": answer}
    if conversation.system:
        row["system"] = conversation.system
    return row | ({"history": [list(pair) for pair in earlier]} if earlier else {})


def _read_messages(row: Row) -> Conversation:
    return _of_messages(_Messages.model_validate(row).messages, "messages")


def _write_messages(conversation: Conversation) -> Row:
    return {"messages": _messages(conversation.turns)}


def _read_sharegpt(row: Row) -> Conversation:
    found = _ShareGpt.model_validate(row)
    turns = [Turn(Role.SYSTEM, found.system)] if found.system.strip() else []
    for place, said in enumerate(found.conversations):
        if said.speaker not in _SPEAKERS:
            known = ", ".join(_SPEAKERS)
            raise BadRow(f"conversations[{place}].from", f"{said.speaker!r} is none of {known}")
        turns.append(Turn(_SPEAKERS[said.speaker], said.value))
    return _conversation(tuple(turns), "conversations", len(turns) - len(found.conversations))


def _write_sharegpt(conversation: Conversation) -> Row:
    return {"conversations": [{"from": _NAMES[turn.role], "value": turn.text} for turn in conversation.turns]}


def _read_pair(row: Row) -> Conversation:
    found = _Pair.model_validate(row)
    if isinstance(found.prompt, str) and isinstance(found.completion, str):
        if not found.completion.strip() or not found.prompt.strip():
            raise BadRow("completion" if found.prompt.strip() else "prompt", "says nothing")
        return Conversation.of_pairs(((found.prompt, found.completion),))
    if isinstance(found.prompt, str) or isinstance(found.completion, str):
        raise BadRow("completion", "prompt and completion have to be both text or both lists of messages")
    if len(found.completion) != 1:
        raise BadRow("completion", "one message belongs here, the assistant's")
    return _of_messages((*found.prompt, *found.completion), "prompt")


def _write_pair(conversation: Conversation) -> Row:
    if len(conversation.pairs) == 1 and not conversation.system:
        ((question, answer),) = conversation.pairs
        return {"prompt": question, "completion": answer}
    *asked, answered = conversation.turns
    return {"prompt": _messages(tuple(asked)), "completion": _messages((answered,))}


DIALECTS = {
    dialect.name: dialect
    for dialect in (
        Dialect("alpaca", ("instruction", "output"), _read_alpaca, _write_alpaca),
        Dialect("sharegpt", ("conversations",), _read_sharegpt, _write_sharegpt),
        Dialect("messages", ("messages",), _read_messages, _write_messages),
        Dialect("prompt-completion", ("prompt", "completion"), _read_pair, _write_pair),
    )
}


def detect(row: Mapping[str, Any]) -> Dialect | None:
    """Return the format whose keys a row has, None if it is of none."""
    return next((each for each in DIALECTS.values() if all(key in row for key in each.keys)), None)


def read_row(dialect: Dialect, row: object) -> Conversation:
    """Return the conversation of a row. Raises BadRow naming the field."""
    if not isinstance(row, dict):
        raise BadRow("", f"expected an object, got {type(row).__name__}")
    try:
        return dialect.read(row)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        raise BadRow(field_name(first["loc"]), first["msg"]) from error


def _of_messages(messages: tuple[_Message, ...], field: str) -> Conversation:
    return _conversation(tuple(Turn(message.role, message.content) for message in messages), field)


def _conversation(turns: tuple[Turn, ...], field: str, before: int = 0) -> Conversation:
    try:
        return Conversation.of(turns)
    except BadTurn as error:
        raise BadRow(f"{field}[{max(error.place - before, 0)}]", error.reason) from error


def _messages(turns: tuple[Turn, ...]) -> list[Row]:
    return [{"role": turn.role.value, "content": turn.text} for turn in turns]
