"""An evaluation as files: metrics.json and predictions.jsonl for programs, report.md for people."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from engine.probes import Probe
from engine.scores import Calibration
from training.bootstrap import Estimate
from training.evaluate import Evaluation, System
from training.judge import Judged
from training.linters import Style
from training.measures import ALL, source_sizes
from training.plots import Plot
from training.said import Texts
from training.scoring import Speed, Written
from training.tables import markdown_table, number, shown

MEASURES = {
    "item_auc": "item AUC (finding against clean)",
    "item_ap": "item average precision",
    "recall90": "recall with 90 % of clean items silent",
    "line_auc": "line AUC",
    "line_ap": "line average precision",
    "top1": "right line first",
    "top1_random": "right line first, drawn at random",
    "top1_category": "right line and category first",
    "precision": "precision (line and category)",
    "recall": "recall (line and category)",
    "f1": "F1 (line and category)",
    "precision_within1": "precision, line within 1",
    "recall_within1": "recall, line within 1",
    "f1_within1": "F1, line within 1",
    "silent_clean": "clean items left silent",
    "false_alarms_per_clean_item": "false alarms a clean item",
    "recall_items": "items with findings spoken about",
    "findings_per_item": "findings an item",
    "line_ece": "line ECE",
    "item_ece": "item ECE",
    "line_brier": "line Brier score",
    "comment_nll": "NLL a token of the data's comments, nats",
    "given_chrf": "chrF of a message about each comment's line",
    "given_rouge_l": "ROUGE-L of a message about each comment's line",
    "canary_item_auc": "canaries: item AUC",
    "canary_top1": "canaries: right line first",
    "canary_text_nll": "canaries: NLL a token of plain texts, nats",
}
"""Measure -> what it is called in the report, in the report's order."""

_BY_SOURCE = ("item_auc", "line_auc", "top1", "top1_random", "top1_category", "recall90")


def write_metrics(path: Path, evaluation: Evaluation, about: Mapping[str, object]) -> None:
    """Write every number of `evaluation` as JSON; `about` says what it was measured on."""
    document = {
        "format": 1,
        "about": dict(about),
        "sizes": {
            name: {"findings": found, "clean": clean}
            for name, (found, clean) in source_sizes(evaluation.systems[0].spoken.items).items()
        },
        "systems": {system.name: _system(system) for system in evaluation.systems},
        "differences": {
            name: {measure: asdict(value) for measure, value in values.items()}
            for name, values in evaluation.differences().items()
        },
        "writing": _writing(evaluation.written, evaluation.texts),
        "style": None if evaluation.style is None else asdict(evaluation.style),
        "judged": None if evaluation.judged is None else asdict(evaluation.judged),
    }
    path.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def write_calibration(path: Path, calibration: Calibration) -> None:
    """Write a calibration as it stands in an adapter's manifest."""
    path.write_text(calibration.model_dump_json(indent=1) + "\n", encoding="utf-8")


def write_probe(path: Path, probe: Probe) -> None:
    """Write what the adapter does to the base, as it stands in the adapter's manifest."""
    path.write_text(probe.model_dump_json(indent=1) + "\n", encoding="utf-8")


def write_predictions(path: Path, evaluation: Evaluation) -> None:
    """Write a line an item: its id, its finding probability, and the findings that would be reported.

    Where they were read, `references` has the data's own comments with each system's NLL a token.
    """
    spoken = evaluation.systems[0].spoken
    scores = spoken.item_probabilities
    readers = [system for system in evaluation.systems if system.comments is not None]
    with path.open("w", encoding="utf-8") as file:
        for place, (scored, score, remarks) in enumerate(
            zip(spoken.items, scores, evaluation.written.remarks, strict=True)
        ):
            findings = [asdict(remark) for remark in remarks]
            row = {"id": scored.item.id, "score": round(float(score), 6), "findings": findings}
            if readers:
                row["references"] = _references(readers, place)
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def report_text(evaluation: Evaluation, about: Mapping[str, object], plots: Sequence[Plot], note: str) -> str:
    """Return the report as Markdown; `note` stands in for plots that could not be drawn."""
    first = evaluation.systems[0]
    parts = [
        f"# Evaluation of {first.name}",
        "\n".join(f"- {name}: {value}" for name, value in about.items()),
        "## All items",
        "Value, and the 95 % interval of a bootstrap over items.",
        _measure_table(evaluation.systems),
        *_difference_part(evaluation),
        "## By source",
        *(f"### {system.name}\n\n{_source_table(system)}" for system in evaluation.systems),
        *_texts_part(evaluation.texts),
        *_style_part(evaluation.style),
        *_judge_part(evaluation.judged),
        "## Running",
        _running_table(evaluation),
        "## Plots",
        "\n\n".join(f"![{plot.title}]({plot.file})" for plot in plots) or note,
    ]
    return "\n\n".join(parts) + "\n"


def _system(system: System) -> dict[str, object]:
    groups = {
        group: {measure: asdict(value) for measure, value in values.items()}
        for group, values in system.estimates().items()
    }
    return {"groups": groups, "scoring": _speed(system.scoring), "reading": _speed(system.reading)}


def _references(readers: Sequence[System], place: int) -> list[dict[str, object]]:
    """Each comment of the item at `place`; all systems read the same ones, in the same order."""
    found = [(system.name, (system.comments or ())[place]) for system in readers]
    return [
        {
            "line": comment.line,
            "category": comment.category,
            "tokens": comment.tokens,
            "nll_per_token": {
                name: round(comments[number].nll / comments[number].tokens, 6) for name, comments in found
            },
        }
        for number, comment in enumerate(found[0][1])
        if comment.tokens
    ]


def _writing(written: Written, texts: Texts | None) -> dict[str, object]:
    return {
        "texts": None if texts is None else asdict(texts),
        "replies": dict(written.replies),
        "valid_share": written.valid_share,
        "speed": _speed(written.speed),
    }


def _speed(speed: Speed) -> dict[str, float]:
    return {**asdict(speed), "tokens_per_second": speed.tokens_per_second}


def _measure_table(systems: Sequence[System]) -> str:
    columns = [system.estimates()[ALL] for system in systems]
    return markdown_table(["measure", *(system.name for system in systems)], _measure_rows(columns))


def _measure_rows(columns: Sequence[Mapping[str, Estimate]], sign: str = "") -> list[list[str]]:
    """A row for each measure that some column has."""
    return [
        [title, *(shown(column[name], sign) if name in column else "-" for column in columns)]
        for name, title in MEASURES.items()
        if any(name in column for column in columns)
    ]


def _difference_part(evaluation: Evaluation) -> list[str]:
    columns = evaluation.differences()
    if not columns:
        return []
    first = evaluation.systems[0].name
    rows = _measure_rows(list(columns.values()), "+")
    return ["## Differences", markdown_table(["measure", *(f"{first} - {name}" for name in columns)], rows)]


def _source_table(system: System) -> str:
    sizes = source_sizes(system.spoken.items)
    rows = (
        [group, *map(str, sizes[group]), *(number(values[name].value) for name in _BY_SOURCE)]
        for group, values in system.estimates().items()
    )
    return markdown_table(["source", "findings", "clean", *(MEASURES[name] for name in _BY_SOURCE)], rows)


def _texts_part(texts: Texts | None) -> list[str]:
    if texts is None:
        return []
    compared = (
        f"{texts.messages} messages; {texts.compared} on a line that has a finding are compared with it."
    )
    rows = [
        ["chrF, mean", shown(texts.chrf)],
        ["ROUGE-L, mean", shown(texts.rouge_l)],
        ["chrF of all together", number(texts.corpus_chrf)],
        ["BLEU of all together", number(texts.corpus_bleu)],
        [f"valid suggestions, of {texts.suggestions}", shown(texts.suggestions_valid)],
        ["different messages", f"{texts.variety.distinct_share:.3f}"],
        ["share of the commonest message", f"{texts.variety.commonest_share:.3f}"],
        ["different pairs of words", f"{texts.variety.distinct_pairs:.3f}"],
        ["messages that go in circles", f"{texts.variety.looping_share:.3f}"],
    ]
    return ["## Messages", compared, markdown_table(["measure", "value"], rows)]


def _style_part(style: Style | None) -> list[str]:
    if style is None:
        return []
    said = f"{style.checked} suggestions were given to the project's linter, before and after."
    left = ", ".join(f"{count} {reason}" for reason, count in sorted(style.unchecked.items()))
    rows = [["bring no new complaint", shown(style.compliant)]]
    return [
        "## Style",
        said + (f" Not checked: {left}." if left else ""),
        markdown_table(["suggestions that", "share"], rows),
    ]


def _judge_part(judged: Judged | None) -> list[str]:
    if judged is None:
        return []
    rows = [
        ["messages written", shown(judged.said)],
        ["the data's comments on the same lines", shown(judged.wanted)],
        ["difference", shown(judged.difference, "+")],
    ]
    said = f"A local model rated {judged.rated} pairs blindly, from 1 to 5; {judged.unrated} it did not rate."
    return ["## Judge", said, markdown_table(["rating of", "mean"], rows)]


def _running_table(evaluation: Evaluation) -> str:
    written = evaluation.written
    valid = "-" if written.valid_share is None else f"{written.valid_share:.1%}"
    stages = [(f"scoring, {system.name}", system.scoring) for system in evaluation.systems]
    stages += [(f"reading comments, {system.name}", system.reading) for system in evaluation.systems]
    rows = [
        [name, str(speed.requests), str(speed.tokens), f"{speed.tokens_per_second:.0f}"]
        for name, speed in [*stages, ("writing", written.speed)]
        if speed.requests
    ]
    counts = ", ".join(f"{count} {kind}" for kind, count in sorted(written.replies.items())) or "none"
    table = markdown_table(["stage", "requests", "tokens", "tokens/s"], rows)
    return f"{table}\n\nReplies: {counts}. Valid: {valid}."
