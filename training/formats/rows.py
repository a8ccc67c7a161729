"""Conversations -> training rows, and review items -> conversations for other tools."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator

from engine.finetune.rows import TextRow
from engine.prompts import END_OF_TURN, defuse
from training.examples import ExampleSettings, write_rows
from training.formats.conversations import Conversation
from training.records import ReviewItem

_USER, _MODEL = "<start_of_turn>user\n", "<start_of_turn>model\n"
_TURN = f"{END_OF_TURN}\n"


def text_rows(conversation: Conversation, weight: float = 1.0) -> Iterator[TextRow]:
    """Yield a row for each answer, in Gemma's turns. Text that would form a control token is defused."""
    before = ""
    for number, (question, answer) in enumerate(conversation.pairs):
        asked = f"{conversation.system}\n\n{question}" if number == 0 and conversation.system else question
        prompt = f"{before}{_USER}{defuse(asked.strip())}{_TURN}{_MODEL}"
        yield TextRow(prompt=prompt, completion=defuse(answer.strip()), weight=weight)
        before = f"{prompt}{defuse(answer.strip())}{_TURN}"


def review_conversations(items: Iterable[ReviewItem], settings: ExampleSettings) -> Iterator[Conversation]:
    """Yield what the model is asked about each line that is written about, and its reply.

    Line scores have no form in these formats, and turns are left to the other tool's template.
    """
    rng = random.Random(settings.seed)
    for item in items:
        for row in write_rows(item, item.to_chunk(), rng, settings):
            question = row.prompt.removeprefix(_USER).removesuffix(f"{_TURN}{_MODEL}")
            yield Conversation.of_pairs(((f"{question}\n{row.suffix}".rstrip("\n"), row.completion),))
