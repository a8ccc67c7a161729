"""An adapter -> a directory in another form: files, card, notice, hashes. It appears whole or not at all.

Before it does, what was made reads a small text, and so does the base with the adapter: they have to agree.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from engine.adapters import CARD, Adapter
from engine.errors import AdapterConflict, AdapterError
from engine.finetune.record import base_sha256
from engine.lora_files import cached_lora
from engine.models import BaseModel, sha256_of
from engine.probes import log_rows, read_probe
from engine.runners import Runner
from engine.version import tool_version
from training.card import card_text
from training.export.gguf_forms import merge_gguf
from training.export.merged import merge_model
from training.export.modelfile import modelfile

ABOUT, NOTICE, MODELFILE = "export.json", "NOTICE", "Modelfile"
_TERMS = "Gemma is provided under and subject to the Gemma Terms of Use found at ai.google.dev/gemma/terms\n"


class Form(StrEnum):
    """What an adapter is made into."""

    MERGED = "merged"
    GGUF = "gguf"
    LORA = "lora"


@dataclass(frozen=True, slots=True)
class Bases:
    """The base model in both its forms; only the one that is needed is asked for."""

    directory: Callable[[], Path]  # Hugging Face
    gguf: Callable[[], BaseModel]
    cache: Path


@dataclass(frozen=True, slots=True)
class Exported:
    """What was made, and how far it is from the base with the adapter; None where that was not looked at."""

    path: Path
    distance: float | None


# Mean of absolute differences of log-probabilities on the probe, in nats.
_TOLERANCE = {Form.MERGED: 0.05, Form.GGUF: 0.25, Form.LORA: 0.0}


def export(adapter: Adapter, form: Form, bases: Bases, out: Path, *, check: bool = True) -> Exported:
    """Make the new directory `out`.

    Raises AdapterConflict where it is there, AdapterError for an adapter of another base or one that does
    not do in its new form what it did.
    """
    if out.exists():
        raise AdapterConflict(f"{out} exists already")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".exporting-") as scratch:
        made = Path(scratch) / out.name
        made.mkdir()
        distance = _MAKERS[form](adapter, bases, made, check)
        if distance is not None and distance > _TOLERANCE[form]:
            raise AdapterError(
                f"{adapter.version} as {form} differs from what it was by {distance:.3f} nats on the probe; "
                f"at most {_TOLERANCE[form]:g} is taken for rounding"
            )
        _describe(adapter, form, made, distance)
        made.replace(out)
    return Exported(out, distance)


def _merged(adapter: Adapter, bases: Bases, made: Path, check: bool) -> float | None:
    base = bases.directory()
    _require_base(adapter, base_sha256(base), base.name)
    merge_model(base, adapter.path, made)
    if not check:
        return None
    from engine.runners.torch_opening import TorchOptions, open_torch_directory

    options = TorchOptions(device="cpu", precision="float32", rank=adapter.manifest.rank)
    return _distance(
        lambda: open_torch_directory(base, options, adapter.path, adapter.path, adapter.version),
        lambda: open_torch_directory(made, options),
    )


def _gguf(adapter: Adapter, bases: Bases, made: Path, check: bool) -> float | None:
    base = bases.gguf()
    _require_base(adapter, base.sha256 or sha256_of(base.path), base.name)
    model = made / f"{adapter.version}.gguf"
    merge_gguf(base.path, adapter.path, model)
    _write(made / MODELFILE, modelfile(model.name, adapter.manifest.licence))
    if not check:
        return None
    from engine.runners.llama import LlamaOptions, LlamaRunner

    alone = LlamaOptions(cache=bases.cache)
    beside = LlamaOptions(score_adapter=adapter.path, adapter=adapter.version, cache=bases.cache)
    return _distance(
        lambda: LlamaRunner(base, beside), lambda: LlamaRunner(BaseModel(model.stem, model, None), alone)
    )


def _lora(adapter: Adapter, bases: Bases, made: Path, check: bool) -> float | None:
    base = bases.gguf()
    _require_base(adapter, base.sha256 or sha256_of(base.path), base.name)
    lora = made / f"{adapter.version}-lora.gguf"
    shutil.copyfile(cached_lora(adapter.path, bases.cache), lora)
    shutil.copyfile(base.path, made / base.path.name)
    _write(made / MODELFILE, modelfile(base.path.name, adapter.manifest.licence, adapter=lora.name))
    if check:
        from engine.runners.llama import LlamaOptions, LlamaRunner

        # Opening it compares what it does with what it did when it was made.
        proven = LlamaOptions(
            score_adapter=adapter.path,
            adapter=adapter.version,
            cache=bases.cache,
            probe=adapter.manifest.probe,
        )
        LlamaRunner(base, proven).close()
    return None


_MAKERS: dict[Form, Callable[[Adapter, Bases, Path, bool], float | None]] = {
    Form.MERGED: _merged,
    Form.GGUF: _gguf,
    Form.LORA: _lora,
}


def _require_base(adapter: Adapter, found: str | None, name: str) -> None:
    if found is not None and found != adapter.manifest.base_sha256:
        raise AdapterError(f"{adapter.version} is made for {adapter.manifest.base_model}, not for {name}")


def _distance(one: Callable[[], Runner], other: Callable[[], Runner]) -> float:
    """Open one runner after the other, and return how far they are apart on the probe."""
    found = []
    for open_runner in (one, other):
        with closing(open_runner()) as runner:
            found.append([value for row in log_rows(read_probe(runner)) for value in row])
    apart = [abs(a - b) for a, b in zip(*found, strict=True)]
    return float(sum(apart) / len(apart))


def _describe(adapter: Adapter, form: Form, made: Path, distance: float | None) -> None:
    manifest = adapter.manifest
    checked = (
        "Not compared with the base and the adapter."
        if distance is None
        else f"On a small text its log-probabilities are {distance:.4f} nats off, in the mean, from those of "
        "the base with the adapter."
    )
    about = [_ABOUT_FORM[form].format(version=adapter.version, base=manifest.base_model)]
    about += [checked] if form is not Form.LORA else []
    library = "transformers" if form is Form.MERGED else "gguf"
    _write(made / CARD, card_text(manifest, adapter.version, about, library=library))
    if "gemma" in manifest.licence.lower():
        _write(made / NOTICE, _TERMS)
    document = {
        "format": 1,
        "form": form.value,
        "adapter": adapter.version,
        "base_model": manifest.base_model,
        "base_sha256": manifest.base_sha256,
        "threshold": manifest.calibration.threshold,
        "tenken": tool_version(),
        "nats_off": distance,
        "files": {path.name: sha256_of(path) for path in sorted(made.iterdir())},
    }
    _write(made / ABOUT, json.dumps(document, indent=1) + "\n")


_ABOUT_FORM = {
    Form.MERGED: "{base} with the adapter {version} in its weights, in the base's precision. It reads and "
    "answers as the base with the adapter does; thresholds and calibration are not in weights, so reviews "
    "are best done with the adapter itself.",
    Form.GGUF: "{base} with the adapter {version} in its weights, for llama.cpp and Ollama "
    "(`ollama create NAME -f Modelfile`). The weights that the adapter changes are in 8 bits (Q8_0), all "
    "others as the base had them.",
    Form.LORA: "The adapter {version} as a LoRA in GGUF, and the base {base} that it belongs to: "
    "`llama-server -m BASE --lora LORA`. Ollama takes the Modelfile before version 0.34.1; for later ones "
    "export the form `gguf`.",
}


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
