"""Model cards: what an adapter is, what it was made of and how good it is, as its manifest says. Pure.

The head is the one that model hubs read. What a manifest says comes from elsewhere and is shown as text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from engine.adapters import Manifest
from engine.sanitize import inline
from training.report import MEASURES

_SETTINGS = ("backend", "rank", "alpha", "learning_rate", "epochs", "batch_tokens", "seed")
_GEMMA = "gemma"
_PLAIN = re.compile(r"[\w.+:-]+", re.ASCII)


def card_text(manifest: Manifest, title: str, about: Sequence[str], *, library: str = "peft") -> str:
    """Return the card of an adapter, or of what was made of one; `about` are paragraphs of its own."""
    parts = [
        _head(manifest, library),
        f"# {title}",
        *about,
        "## What it was made of",
        _table(("", ""), _origin(manifest)),
        "## Measured on held-out data",
        _scores(manifest),
        "## How it was trained",
        _table(("setting", "value"), _settings(manifest)),
        "## Licence",
        _licence(manifest),
    ]
    return "\n\n".join(parts) + "\n"


def adapter_card(manifest: Manifest) -> str:
    """Return the card of an adapter as it is packed."""
    tasks = {"score": "gives every added line of a change a probability for each category of findings",
             "write": "writes the message about a line"}  # fmt: skip
    does = " and ".join(tasks[task] for task in manifest.tasks)
    about = [f"A LoRA adapter of rank {manifest.rank} for {inline(manifest.base_model)} that {does}."]
    if not manifest.scores:
        about.append("It was not measured: evaluate it before it serves.")
    return card_text(manifest, inline(manifest.name), about)


def _head(manifest: Manifest, library: str) -> str:
    is_gemma = _GEMMA in manifest.base_model.lower()
    fields = {
        "base_model": manifest.base_model,
        "library_name": library,
        "license": _GEMMA if is_gemma else "other",
        "language": [str(language) for language in manifest.languages],
        "tags": ["code-review", "lora", "tenken"],
    }
    # Every JSON value is one of YAML as well.
    return "---\n" + "".join(f"{name}: {json.dumps(value)}\n" for name, value in fields.items()) + "---"


def _origin(manifest: Manifest) -> list[tuple[str, str]]:
    rows = [
        ("base", manifest.base_model),
        ("sha256 of the base", manifest.base_sha256),
        ("sha256 of the training data", manifest.data_fingerprint or "not known"),
        ("made", manifest.created.isoformat()),
        ("threshold", f"{manifest.calibration.threshold:g}"),
    ]
    if isinstance(merge := manifest.settings.get("merge"), Mapping):
        rows.append(("merged from", ", ".join(map(str, _list(merge.get("adapters"))))))
        rows.append(("merged by", str(merge.get("method"))))
    return rows


def _list(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else ()


def _scores(manifest: Manifest) -> str:
    if not manifest.scores:
        return "Nothing yet."
    rows = [(MEASURES.get(name, name), f"{value:g}") for name, value in sorted(manifest.scores.items())]
    return _table(("measure", "value"), rows)


def _settings(manifest: Manifest) -> list[tuple[str, str]]:
    named = [(name, manifest.settings[name]) for name in _SETTINGS if name in manifest.settings]
    rows = [(name, str(value)) for name, value in named if value is not None]
    return [*rows, *sorted(manifest.versions.items())]


def _licence(manifest: Manifest) -> str:
    lines = [inline(manifest.licence)]
    if _GEMMA in manifest.licence.lower():
        lines.append(
            "Gemma is provided under and subject to the Gemma Terms of Use found at "
            "ai.google.dev/gemma/terms. This is a model derivative of Gemma: its weights were changed. "
            "Whoever hands it on hands on these terms with the use restrictions in them."
        )
    return "\n\n".join(lines)


def _table(head: tuple[str, str], rows: Sequence[tuple[str, str]]) -> str:
    lines = [head, ("---", "---"), *((_cell(name), _cell(value)) for name, value in rows)]
    return "\n".join(f"| {left} | {right} |" for left, right in lines)


def _cell(text: str) -> str:
    """Numbers and names as they are; a cell's begin is none of a line."""
    return text if _PLAIN.fullmatch(text) else inline(text)
