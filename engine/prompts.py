"""The only place prompt text is built, for inference and for training alike.

A chunk is asked about twice. `review_prompt` + `score_blocks` shows the diff and then every commentable
line once more; the label distribution after each block is the line's score. `review_prompt` +
`write_suffix` asks for a message about one line. Both start with the same text, so its KV cache is reused,
and both leave the words to `engine.replies`, which owns the reply's form. `ask_prompt` is a question of a
person's about given lines, which no adapter is trained on; `engine.asking` owns the answer's form.

Everything that comes from a repository is data: `defuse` keeps it from forming the model's control tokens.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
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
_NAMES = {Language.EN: "English", Language.JA: "Japanese"}


@dataclass(frozen=True, slots=True)
class PromptContext:
    """What all chunks of a review share; it stands first in each prompt."""

    guidelines: str = ""
    title: str = ""
    description: str = ""


def review_prompt(chunk: Chunk, context: PromptContext = PromptContext()) -> str:
    """Return the prompt that shows `chunk`, up to where the model's turn begins. No BOS."""
    rows = "\n".join(_rows(chunk))
    subject = f"Review this change to {_one_line(chunk.path)} ({chunk.language})."
    return f"{_USER}{_shared(context)}{subject}\n{rows}{_MODEL}"


def score_blocks(chunk: Chunk) -> tuple[str, ...]:
    """Return one block for each of `chunk.commentable`, in order; the score is read after its last token."""
    numbers = _numbers(chunk)
    return tuple(f"{_quote(numbers, line)} =>" for line in chunk.commentable)


def write_suffix(chunk: Chunk, line: DiffLine, category: Category, language: Language) -> str:
    """Return what follows the prompt to ask for a message about `line` in `language`."""
    return f"{_quote(_numbers(chunk), line)} => {category.value} {language.value}\n"


@dataclass(frozen=True, slots=True)
class AskContext:
    """What a question is about."""

    path: str = ""
    language: str = "text"  # of the code
    rows: Sequence[str] = ()  # see `code_row`
    lines: tuple[int, int] | None = None  # that are meant
    diff: str = ""
    finding: str = ""  # what a review said of them


def ask_prompt(question: str, context: AskContext, language: Language) -> str:
    """Return the prompt that asks `question`, up to where the model's turn begins. No BOS."""
    parts = []
    if context.rows:
        where = f" of {_one_line(context.path)} ({context.language})" if context.path else ""
        parts.append(f"Code{where}:\n{_fence(*context.rows)}\n")
    if context.diff.strip():
        parts.append(f"A change:\n{_fence(context.diff)}\n")
    if context.finding.strip():
        parts.append(f"What a review said of it:\n{_fence(context.finding.strip())}\n")
    about = f" about {_range(context.lines)}" if context.lines else ""
    parts.append(f"A question{about}:\n{_fence(question.strip())}\n")
    form = f'Answer it in {_NAMES[language]}, in a few plain sentences, as JSON with the one key "answer".'
    return f"{_USER}{''.join(parts)}{form}{_MODEL}"


def code_row(number: int, text: str) -> str:
    """Return a line of code as `ask_prompt` shows it."""
    return f"{number:>4} {text}"


def defuse(text: str) -> str:
    """Return `text` without any sequence that the tokenizer would read as a control token."""
    return _CONTROL.sub(lambda match: "‹" if match.group() == "<" else "［", text)


def _one_line(path: str) -> str:
    """A path may hold line ends, a line of the prompt may not."""
    return defuse(" ".join(path.split()))


def _range(lines: tuple[int, int]) -> str:
    first, last = lines
    return f"line {first}" if first == last else f"lines {first} to {last}"


def _shared(context: PromptContext) -> str:
    parts = []
    if context.guidelines.strip():
        parts.append(f"Team rules:\n{_fence(context.guidelines.strip())}\n")
    if context.title.strip() or context.description.strip():
        purpose = f"{context.title}\n{context.description}"
        parts.append(f"Purpose of the change:\n{_fence(purpose.strip())}\n")
    return "".join(parts)


def _fence(*rows: str) -> str:
    body = defuse("\n".join(rows))
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
