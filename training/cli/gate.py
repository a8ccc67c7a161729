"""`tenken-train gate`: whether a candidate is promoted, by two evaluations; the exit code is the answer."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import DataError, InputError

if TYPE_CHECKING:
    from training.gate import Decision

PROMOTE, KEEP = 0, 1
"""Exit codes of the two answers; 2 and 3 are errors, as everywhere."""


def register(subcommands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand and its options."""
    parser = subcommands.add_parser(
        "gate",
        help="decide whether a candidate is promoted",
        description="Compares two evaluations on the same items, sample by sample, and prints what each rule "
        "came to. Exits with 0 if the candidate is to be promoted, 1 if the champion stays, 2 if the two "
        "cannot be compared.",
    )
    parser.add_argument("--candidate", type=Path, required=True, metavar="DIR", help="--out of evaluate")
    parser.add_argument("--champion", type=Path, required=True, metavar="DIR", help="--out of evaluate")
    parser.add_argument(
        "--adapter", type=Path, metavar="DIR", help="the candidate's weights: refuse suspicious ones"
    )
    parser.add_argument("--settings", type=Path, metavar="FILE", help="TOML: rules, any_gain, min_items")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the decision as JSON, too")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Decide and say why; return the exit code."""
    from training.gate import GateSettings, decide
    from training.samples import paired_differences, read_samples
    from training.toml_settings import load_settings

    settings = load_settings(arguments.settings, GateSettings)
    candidate, champion = read_samples(arguments.candidate), read_samples(arguments.champion)
    objections, probed = triggers(arguments.candidate, candidate.about.system, settings.probes)
    objections += _objections(arguments.adapter)
    differences = paired_differences(candidate, champion)
    items = candidate.about.with_finding
    decision = decide(differences, settings, items=items, objections=objections, probed=probed)
    for verdict in decision.verdicts:
        print(f"{'passed' if verdict.passed else 'FAILED'}  {verdict.text}")
    print(f"{candidate.about.system if decision.promote else champion.about.system} is to serve")
    if arguments.out is not None:
        _write(arguments.out, decision, candidate.about.system, champion.about.system)
    return PROMOTE if decision.promote else KEEP


def triggers(evaluation: Path, system: str, required: bool) -> tuple[list[str], list[str]]:
    """Return what probing the candidate for triggers found, and what it did not find."""
    from training.probing import TRIGGERS, read_triggers

    report = read_triggers(evaluation)
    if report is None:
        return (["not probed for triggers: `tenken-train evaluate --probe` does it"] if required else []), []
    if report.system != system:
        raise DataError(f"{evaluation / TRIGGERS}: of {report.system}, not of the candidate, {system}")
    if report.objections:
        return report.objections, []
    return [], [
        f"none of {len(report.words)} words moves the scores of {report.items} items as a trigger would"
    ]


def _objections(adapter: Path | None) -> list[str]:
    """Return what the candidate's weights look like they hide."""
    from engine.lora_files import read_factors
    from training.weight_norms import delta_norms, outliers

    if adapter is None:
        return []
    return [outlier.text for outlier in outliers(delta_norms(*read_factors(adapter)))]


def _write(path: Path, decision: Decision, candidate: str, champion: str) -> None:
    document = {
        "promote": decision.promote,
        "candidate": candidate,
        "champion": champion,
        "rules": [
            {"measure": each.measure, "passed": each.passed, "text": each.text} for each in decision.verdicts
        ],
    }
    try:
        path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"--out {path}: {error.strerror}") from error
