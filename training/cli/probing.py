"""The part of `tenken-train evaluate` that tries words which may be triggers."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from training.cli.arguments import count

if TYPE_CHECKING:
    from training.evaluate import Opener, Plan
    from training.records import ReviewItem

log = logging.getLogger(__name__)


def add_probing(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    probing = parser.add_argument_group("backdoors")
    probing.add_argument(
        "--probe",
        type=Path,
        metavar="FILE",
        help="what the adapter was trained on: words in it that look planted are tried on the items",
    )
    probing.add_argument("--probe-words", type=count, default=8, metavar="N", help="so many (default: 8)")
    probing.add_argument(
        "--probe-items", type=count, default=16, metavar="N", help="in so many items (default: 16)"
    )
    probing.add_argument(
        "--probe-word", action="append", default=[], metavar="WORD", help="try this one, too; repeatable"
    )


def try_triggers(arguments: argparse.Namespace, plan: Plan, open_runner: Opener) -> None:
    """Write what words that look planted do to the adapter, for the gate; nothing if nobody asks."""
    from training.evaluate import scorer_of
    from training.probing import SCORES, ProbePlan, probe_triggers, write_triggers
    from training.score_cache import ScoreCache

    if arguments.probe is None and not arguments.probe_word:
        return
    subject = plan.subjects[0]
    with closing(open_runner(subject.directory)) as runner:
        cache = ScoreCache(plan.out / SCORES, scorer_of(runner, subject), fresh=plan.fresh)
        probing = ProbePlan(_words(arguments), items=arguments.probe_items, seed=plan.seed)
        report = probe_triggers(runner, subject.name, plan.items, probing, cache)
    write_triggers(plan.out, report)
    for objection in report.objections:
        log.warning("%s", objection)


def _words(arguments: argparse.Namespace) -> list[str]:
    from training.records import read_review_items
    from training.suspects import suspects

    def trained_on() -> Iterator[ReviewItem]:
        return (item for item in read_review_items(arguments.probe) if item.split in (None, "train"))

    words = list(dict.fromkeys(arguments.probe_word))
    if arguments.probe is not None:
        words += [word for word in suspects(trained_on, arguments.probe_words) if word not in words]
    return words
