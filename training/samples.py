"""The bootstrap of an evaluation as a file, so that another one on the same items can be paired with it.

Intervals alone would not do: two models err on the same items, and their difference is surer than either.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from zipfile import BadZipFile

import numpy as np
from numpy.lib.npyio import NpzFile
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine.errors import DataError
from engine.wire import Language
from training.bootstrap import Estimate, item_weights
from training.evaluate import Evaluation, Plan
from training.measures import ALL, Measures, differences
from training.records import ReviewItem

SAMPLES = "samples.npz"
_ABOUT, _MEASURE = "about", "measure/"


class SamplesAbout(BaseModel):
    """What was measured. Two evaluations are paired if all but `system` is the same."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = Field(default=1, ge=1, le=1)
    system: str = Field(description="The adapter that was evaluated.")
    items: str = Field(description="Hash of the items, in order.")
    draws: str = Field(description="Hash of how often each sample drew each item.")
    language: Language
    with_finding: int = Field(ge=0, description="Items that have a finding.")


@dataclass(frozen=True, slots=True)
class Samples:
    """The measures of one system on all items, each with its bootstrap samples."""

    about: SamplesAbout
    measures: Measures


def write_samples(path: Path, evaluation: Evaluation, plan: Plan) -> None:
    """Write the samples of the system that was evaluated."""
    first = evaluation.systems[0]
    weights = item_weights(len(plan.items), plan.samples, plan.seed)
    about = SamplesAbout(
        system=first.name,
        items=_hash_of_items(plan.items),
        draws=hashlib.sha256(weights.tobytes()).hexdigest(),
        language=plan.language,
        with_finding=sum(bool(item.findings) for item in plan.items),
    )
    # How many comments were written about is no part of what makes two evaluations alike.
    kept = {name: values for name, values in first.measures[ALL].items() if not name.startswith("given_")}
    arrays = {f"{_MEASURE}{name}": values for name, values in kept.items()}
    with path.open("wb") as file:
        np.savez(file, **{_ABOUT: np.array(about.model_dump_json())}, **arrays)  # type: ignore[arg-type]


def read_samples(directory: Path) -> Samples:
    """Return the samples of an evaluation's directory; raises DataError naming what is wrong with them."""
    path = directory / SAMPLES
    try:
        with path.open("rb") as opened, _archive(opened) as file:
            about = SamplesAbout.model_validate_json(str(file[_ABOUT]))
            names = [name for name in file.files if name.startswith(_MEASURE)]
            measures = {name.removeprefix(_MEASURE): file[name].astype(float) for name in names}
    except FileNotFoundError as error:
        raise DataError(f"{path}: not there; `tenken-train evaluate --out` writes it") from error
    except ValidationError as error:
        raise DataError(f"{path}, {_ABOUT}: {error.errors()[0]['msg']}") from error
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise DataError(f"{path}: damaged ({error})") from error
    if len({values.shape for values in measures.values()}) > 1:
        raise DataError(f"{path}: damaged (measures have different numbers of samples)")
    return Samples(about, measures)


def paired_differences(candidate: Samples, champion: Samples) -> dict[str, Estimate]:
    """Return by how much each measure of the candidate is above the champion's, on the same draws.

    Raises DataError where the two were not measured alike.
    """
    for name, what in _ALIKE.items():
        ours, theirs = (getattr(samples.about, name) for samples in (candidate, champion))
        if ours != theirs:
            raise DataError(f"candidate and champion were measured on different {what}; evaluate both alike")
    return differences(candidate.measures, champion.measures)


_ALIKE = {
    "items": "items (--data, --split, --without-tier, --limit)",
    "draws": "bootstrap draws (--samples, --seed)",
    "language": "languages (--lang)",
}


def _archive(file: BinaryIO) -> NpzFile:
    loaded = np.load(file, allow_pickle=False)
    if not isinstance(loaded, NpzFile):
        raise ValueError("no archive of arrays")
    return loaded


def _hash_of_items(items: Sequence[ReviewItem]) -> str:
    digest = hashlib.sha256()
    for item in items:
        digest.update(json.dumps(item.to_json(), sort_keys=True).encode() + b"\n")
    return digest.hexdigest()
