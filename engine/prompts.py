"""The only place prompt text is built, for inference and for training alike.

A chunk is asked about twice. `review_prompt` + `score_blocks` shows the diff and then every commentable
line once more; the label distribution after each block is the line's score. `review_prompt` +
`write_suffix` asks for a message about one line. Both start with the same text, so its KV cache is reused,
and both leave the words to `engine.replies`, which owns the reply's form.

Everything that comes from a repository is data: `defuse` keeps it from forming the model's control tokens.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from engine.diffs import Chunk, DiffLine, LineKind
from engine.findings import Category
from engine.wire import Language

NO_FINDING = " ok"
CATEGORY_LABELS: dict[Category, str] = {category: f" {category.value}" for category in Category} | {
    Category.MAINTAINABILITY: " maintain"  # the whole word is two tokens
}
LABELS: tuple[str, ...] = (NO_FINDING, *CATEGORY_LABELS.values())
"""What the model chooses from after each block; each is one token of Gemma's vocabulary."""

END_OF_TURN = "<end_of_turn>"
_USER, _MODEL = "<start_of_turn>user\n", f"{END_OF_TURN}\n<start_of_turn>model\n"
_CONTROL = re.compile(
    r"<(?=(?:bos|eos|pad|unk|mask|2mass|(?:start|end)_of_(?:turn|image)|image_soft_token|unused\d+)>|\[@BOS@\])"
    r"|\[(?=multimodal\])"
)
_BLOCK_WIDTH = 80


@dataclass(frozen=True, slots=True)
class PromptContext:
    """What all chunks of a review share; it stands first in each prompt."""

    guidelines: str = ""
    title: str = ""
    description: str = ""


def review_prompt(chunk: Chunk, context: PromptContext = PromptContext()) -> str:
    """Return the prompt that shows `chunk`, up to where the model's turn begins. No BOS."""
    rows = "\n".join(_rows(chunk))
    path = defuse(" ".join(chunk.path.split()))  # a path may hold line ends, a prompt line may not
    subject = f"Review this change to {path} ({chunk.language})."
    return f"{_USER}{_shared(context)}{subject}\n{rows}{_MODEL}"


def score_blocks(chunk: Chunk) -> tuple[str, ...]:
    """Return one block for each of `chunk.commentable`, in order; the score is read after its last token."""
    numbers = _numbers(chunk)
    return tuple(f"{_quote(numbers, line)} =>" for line in chunk.commentable)


def write_suffix(chunk: Chunk, line: DiffLine, category: Category, language: Language) -> str:
    """Return what follows the prompt to ask for a message about `line` in `language`."""
    return f"{_quote(_numbers(chunk), line)} => {category.value} {language.value}\n"


def defuse(text: str) -> str:
    """Return `text` without any sequence that the tokenizer would read as a control token."""
    return _CONTROL.sub(lambda match: "‹" if match.group() == "<" else "［", text)


def _shared(context: PromptContext) -> str:
    parts = []
    if context.guidelines.strip():
        parts.append(f"Team rules:\n{_fence(context.guidelines)}\n")
    if context.title.strip() or context.description.strip():
        purpose = f"{context.title}\n{context.description}"
        parts.append(f"Purpose of the change:\n{_fence(purpose)}\n")
    return "".join(parts)


def _fence(text: str) -> str:
    body = defuse(text.strip())
    longest = max((len(run) for run in re.findall(r"`+", body)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{body}\n{fence}"


def _numbers(chunk: Chunk) -> dict[int, int]:
    """Line number in the new file -> number shown, counted from 1: short numbers are easier to copy."""
    shown = (line.new_number for line in chunk.lines if line.new_number is not None)
    return {number: index for index, number in enumerate(shown, start=1)}


def _rows(chunk: Chunk) -> Iterator[str]:
    numbers = _numbers(chunk)
    for line in chunk.lines:
        text = defuse(line.text)
        if line.new_number is None:
            yield f"   -{text}"
        else:
            yield f"{numbers[line.new_number]:>3}{'+' if line.kind is LineKind.ADDED else ' '}{text}"


def _quote(numbers: dict[int, int], line: DiffLine) -> str:
    assert line.new_number is not None
    return f"\n{numbers[line.new_number]} {defuse(line.text).strip()[:_BLOCK_WIDTH]}"
