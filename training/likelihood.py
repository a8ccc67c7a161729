"""How probable a model finds what people wrote: their comments' likelihood, given hunk, line and category.

What is read is the reply that the engine would have to write; only the message's own tokens count, so that
the form, which a trained model knows and the base does not, is no gain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.errors import RunnerError
from engine.findings import Category
from engine.prompts import review_prompt, write_suffix
from engine.replies import ParsedReply, canonical_reply
from engine.runners import Cancellation, LikelihoodRequest, LikelihoodRunner
from engine.wire import Language
from training.bootstrap import item_weights
from training.examples import shorten
from training.measures import Measures, groups
from training.metrics import mean
from training.progress import Progress
from training.records import ReviewFinding, ReviewItem
from training.said import reference
from training.scored import ScoredItem
from training.scoring import NewProgress, Speed

MEASURE = "comment_nll"


@dataclass(frozen=True, slots=True)
class CommentLikelihood:
    """How probable a comment is: the sum of its tokens' negative logarithms, and how many they are."""

    line: int
    category: Category
    nll: float
    tokens: int


ItemComments = tuple[CommentLikelihood, ...]


def read_comments(
    runner: LikelihoodRunner,
    items: Sequence[ReviewItem],
    language: Language,
    new_progress: NewProgress = Progress,
) -> tuple[tuple[ItemComments, ...], Speed]:
    """Return the likelihoods of each item's comments on lines that can carry one."""
    asked = [
        (place, finding, request)
        for place, item in enumerate(items)
        for finding, request in comment_requests(item, language)
    ]
    answers, speed = read_texts(runner, [request for *_, request in asked], "reading comments", new_progress)
    found: list[list[CommentLikelihood]] = [[] for _ in items]
    for (place, finding, _), logarithms in zip(asked, answers, strict=True):
        found[place].append(
            CommentLikelihood(finding.line, finding.category, -sum(logarithms), len(logarithms))
        )
    return tuple(map(tuple, found)), speed


def comment_requests(item: ReviewItem, language: Language) -> list[tuple[ReviewFinding, LikelihoodRequest]]:
    """Return what is asked about each comment, in the order of lines; unreadable ones are left out."""
    chunk = item.to_chunk()
    prompt, requests = review_prompt(chunk), []
    for line, findings in item.anchors():
        for finding in findings:
            if message := shorten(reference(finding, language)):
                text, span = _reply(finding, message)
                suffix = write_suffix(chunk, line, finding.category, language)
                requests.append((finding, LikelihoodRequest(prompt, suffix, text, span)))
    return requests


def comment_measures(
    items: Sequence[ScoredItem], comments: Sequence[ItemComments], samples: int, seed: int
) -> dict[str, Measures]:
    """Return each group's mean over all tokens, on the samples of `training.measures.measure`."""
    weights = item_weights(len(items), samples, seed)
    sums = np.array([sum(comment.nll for comment in found) for found in comments], float)
    tokens = np.array([sum(comment.tokens for comment in found) for found in comments], float)
    return {
        name: {MEASURE: mean(sums[mask], weights[:, mask], per=tokens[mask])}
        for name, mask in groups(items).items()
    }


def read_texts(
    runner: LikelihoodRunner, requests: Sequence[LikelihoodRequest], what: str, new_progress: NewProgress
) -> tuple[list[tuple[float, ...]], Speed]:
    """Return the logarithms of each request's tokens, in order; raises RunnerError if some are missing."""
    progress, tokens = new_progress(what, len(requests)), 0
    answers: dict[int, tuple[float, ...]] = {}
    for index, likelihood in runner.likelihoods(requests, Cancellation(), progress.tokens):
        answers[index] = likelihood.log_probabilities
        tokens += likelihood.prompt_tokens
        progress.step()
    progress.close()
    if len(answers) < len(requests):
        noun = what.rpartition(" ")[2]
        raise RunnerError(f"only {len(answers)} of {len(requests)} {noun} were read")
    return [answers[index] for index in range(len(requests))], Speed(len(requests), tokens, progress.seconds)


def _reply(finding: ReviewFinding, message: str) -> tuple[str, tuple[int, int]]:
    """Return the reply, and where the message stands in it."""
    text = canonical_reply(ParsedReply(finding.severity, message))
    key = '"message":"'
    return text, (text.index(key) + len(key), len(text) - len('"}'))
