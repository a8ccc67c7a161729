"""What a training will do, before it does it: the data counted, settings with reasons, memory and time."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from engine.errors import DataError, ModelError, unimportable
from engine.finetune.cards import Card
from engine.finetune.encoding import row_lengths
from engine.finetune.rows import Row
from engine.finetune.settings import Backend, FinetuneSettings
from engine.finetune.sizes import read_size
from training.choices import Choice, Volume, settings_of, with_given
from training.forecasts import Forecast, forecast
from training.presets import choose

_DRAWN = 2000  # rows whose tokens are counted


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """A training as it would be."""

    base: str
    card: Card
    volume: Volume
    choices: tuple[Choice[Any], ...]
    settings: FinetuneSettings
    forecast: Forecast
    processes: int = 1  # that train together, each with such a card

    @property
    def step_tokens(self) -> int:
        """Padded tokens of a step, of all processes."""
        return self.settings.batch_tokens * self.settings.accumulation * self.processes

    @property
    def fits(self) -> bool:
        """Whether the card's memory is enough, as far as can be told."""
        return self.card.memory_gib is None or self.forecast.memory.total <= self.card.memory_gib

    def to_json(self) -> dict[str, Any]:
        """Return the plan for another program."""
        return {
            "base": self.base,
            "card": asdict(self.card),
            "rows": self.volume.rows,
            "validation_rows": self.volume.validation_rows,
            "tokens": self.volume.tokens,
            "processes": self.processes,
            "step_tokens": self.step_tokens,
            "settings": self.settings.model_dump(mode="json"),
            "why": {one.key: one.why.value for one in self.choices},
            "fits": self.fits,
            "forecast": {
                **asdict(self.forecast),
                "memory": asdict(self.forecast.memory) | {"total": self.forecast.memory.total},
            },
        }


def make_plan(
    base: Path,
    rows: Sequence[Row],
    validation: Sequence[Row],
    card: Card,
    given: FinetuneSettings | None = None,
    *,
    preset: bool = True,
    processes: int = 1,
) -> TrainingPlan:
    """Return the plan for training `base` on `rows` with `card`, in several processes with one for each.

    What was set in `given` stands; with `preset` the rest is chosen, without it keeps its usual value. Raises
    DataError without rows, ModelError where the model fits the card in no way.
    """
    if not rows:
        raise DataError("no row to train on")
    size, volume = read_size(base), measure(base, rows, validation)
    own = given.model_dump(exclude_unset=True) if given else {}
    has_unsloth = find_spec("unsloth") is not None
    chosen = choose(size, card, volume, has_unsloth, processes) if preset else ()
    choices = with_given(chosen, own)
    settings = settings_of(choices, own)
    unsloth = settings.backend is Backend.UNSLOTH or (
        settings.backend is Backend.AUTO and has_unsloth and card.is_gpu and processes == 1
    )
    expected = forecast(size, card, volume, settings, unsloth, processes)
    return TrainingPlan(base.name, card, volume, choices, settings, expected, processes)


def measure(base: Path, rows: Sequence[Row], validation: Sequence[Row]) -> Volume:
    """Count the tokens of up to 2,000 drawn rows, and from these of all."""
    drawn = random.Random(0).sample(list(rows), min(_DRAWN, len(rows)))
    lengths = sorted(row_lengths(drawn, _encoder(base)))
    return Volume(len(rows), round(sum(lengths) / len(lengths) * len(rows)), tuple(lengths), len(validation))


def _encoder(base: Path) -> Any:
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise unimportable(error, "tokenizers", "train") from error
    path = base / "tokenizer.json"
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises plain Exception for whatever is wrong
        raise ModelError(f"{path} cannot be read: {error}") from error
    return lambda texts: [one.ids for one in tokenizer.encode_batch(list(texts), add_special_tokens=False)]
