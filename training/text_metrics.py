"""How well written messages and suggestions are, as plain functions of texts.

What compares with references is given per item, so that `training.bootstrap` can weigh items; corpus values
of BLEU and chrF are sacrebleu's.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine.enclosing import parser_for
from engine.errors import unimportable
from engine.suggestions import open_brackets

# A word, or one sign of a script that writes without spaces.
_TOKEN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W\u3040-\u30ff\u3400-\u9fff]+")


def chrf(said: str, wanted: str) -> float:
    """Return chrF of one text, 0 to 100: character n-grams in common."""
    return float(_sacrebleu().sentence_chrf(said, [wanted]).score)


def corpus_chrf(said: Sequence[str], wanted: Sequence[str]) -> float:
    """Return chrF of all texts together, 0 to 100."""
    return float(_sacrebleu().corpus_chrf(list(said), [list(wanted)]).score) if said else 0.0


def corpus_bleu(said: Sequence[str], wanted: Sequence[str]) -> float:
    """Return BLEU-4 of all texts together, 0 to 100, on the tokens that ROUGE-L counts."""
    texts = ([" ".join(tokens(text)) for text in side] for side in (said, wanted))
    ours, theirs = texts
    return float(_sacrebleu().corpus_bleu(ours, [theirs], tokenize="none", force=True).score) if ours else 0.0


def rouge_l(said: str, wanted: str) -> float:
    """Return the F-measure of the longest common subsequence of tokens, 0 to 1.

    Our own: the usual library drops every letter outside ASCII, and Japanese with it.
    """
    ours, theirs = tokens(said), tokens(wanted)
    common = _common_length(ours, theirs)
    return 2 * common / (len(ours) + len(theirs)) if common else 0.0


def tokens(text: str) -> list[str]:
    """Return the words of a text in lower case; scripts without spaces give a token a sign."""
    return _TOKEN.findall(text.lower())


@dataclass(frozen=True, slots=True)
class Variety:
    """How much a model repeats itself over many outputs: signs of collapse."""

    outputs: int
    distinct_share: float  # different outputs, of all
    commonest_share: float  # of the output that is given most often
    distinct_pairs: float  # different pairs of neighbouring tokens, of all
    looping_share: float  # outputs that say the same four tokens three times over


def variety(outputs: Sequence[str]) -> Variety:
    """Return the variety of `outputs`; without any, nothing is repeated."""
    if not outputs:
        return Variety(0, 1.0, 0.0, 1.0, 0.0)
    counts = Counter(" ".join(output.split()) for output in outputs)
    split = [tokens(output) for output in outputs]
    pairs = Counter(pair for row in split for pair in itertools.pairwise(row))
    return Variety(
        len(outputs),
        len(counts) / len(outputs),
        counts.most_common(1)[0][1] / len(outputs),
        len(pairs) / max(pairs.total(), 1) if pairs else 1.0,
        sum(loops(row) for row in split) / len(outputs),
    )


def loops(row: Sequence[str], size: int = 4, times: int = 3) -> bool:
    """Tell whether some run of `size` tokens stands `times` times in the output."""
    runs = Counter(tuple(row[at : at + size]) for at in range(len(row) - size + 1))
    return max(runs.values(), default=0) >= times


def suggestion_is_valid(rows: Sequence[str], line: int, suggestion: str, language: str) -> bool | None:
    """Tell whether code stays as well-formed when `suggestion` takes the place of row `line` (from 0).

    Rows are a piece of a file, which may be full of errors by itself: the suggestion must add none, and open
    and close what the row did, since a parser takes a broken piece for one error. None where no parser knows
    the language.
    """
    if parser_for(language) is None:
        return None
    if open_brackets(suggestion) != open_brackets(rows[line]):
        return False
    changed = [*rows[:line], *suggestion.split("\n"), *rows[line + 1 :]]
    return adds_no_error(rows, changed, language)


def adds_no_error(rows: Sequence[str], changed: Sequence[str], language: str) -> bool | None:
    """Tell whether `changed` is as well-formed as `rows`; None where no parser knows the language."""
    parser = parser_for(language)
    return None if parser is None else _errors(parser, changed) <= _errors(parser, rows)


def _errors(parser: Any, rows: Sequence[str]) -> int:
    waiting, count = [parser.parse("\n".join(rows).encode("utf-8", "replace")).root_node], 0
    while waiting:
        node = waiting.pop()
        count += node.is_error or node.is_missing
        waiting += [child for child in node.children if child.has_error]
    return count


def _common_length(ours: Sequence[str], theirs: Sequence[str]) -> int:
    lengths = [0] * (len(theirs) + 1)
    for word in ours:
        diagonal = 0
        for place, other in enumerate(theirs, start=1):
            above = lengths[place]
            lengths[place] = diagonal + 1 if word == other else max(above, lengths[place - 1])
            diagonal = above
    return lengths[-1]


def _sacrebleu() -> Any:
    try:
        import sacrebleu
    except ImportError as error:
        raise unimportable(error, "sacrebleu", "train") from error
    return sacrebleu
