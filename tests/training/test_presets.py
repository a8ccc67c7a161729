"""Settings by card and data: each fits, each has a reason, and what was given stands."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from engine.errors import ModelError
from engine.finetune.cards import SIZES, Card, cpu, usual_card
from engine.finetune.encoding import EncodedRow
from engine.finetune.estimates import Way, memory_of
from engine.finetune.processes import Processes
from engine.finetune.settings import Backend, FinetuneSettings
from engine.finetune.sizes import ModelSize
from engine.finetune.trainer import plan_batches
from engine.wire import Language
from tests.both_languages import require_same
from training.choices import Choice, Volume, Why, settings_of, with_given
from training.forecasts import forecast
from training.plan_texts import ENGLISH, TEXTS
from training.presets import choose

M270 = ModelSize(layers=18, hidden=640, ffn=2048, query=1024, key=256, vocabulary=262_144)
M4B = ModelSize(layers=34, hidden=2560, ffn=10_240, query=2048, key=1024, vocabulary=262_208)
M27B = ModelSize(layers=62, hidden=5376, ffn=21_504, query=4096, key=2048, vocabulary=262_208)
CPU2 = Card("CPU", cores=2)


def volume(rows: int, length: int = 300, validation: int = 50) -> Volume:
    lengths = tuple(sorted(length // 2 + length * n // 100 for n in range(100)))
    return Volume(rows, rows * length, lengths, validation)


def chosen(
    size: ModelSize, card: Card, data: Volume, has_unsloth: bool = True, processes: int = 1
) -> tuple[FinetuneSettings, dict[str, Choice[Any]]]:
    choices = choose(size, card, data, has_unsloth, processes)
    return settings_of(choices, {}), {one.key: one for one in choices}


@pytest.mark.parametrize("size", [M270, M4B], ids=["270m", "4b"])
@pytest.mark.parametrize("gigabytes", SIZES)
@pytest.mark.parametrize("rows", [60, 3000, 150_000])
def test_every_preset_fits_its_card(size: ModelSize, gigabytes: int, rows: int) -> None:
    """The memory that its settings take is there, and a micro-batch holds the longest row that is kept."""
    card = usual_card(gigabytes)
    settings, _ = chosen(size, card, volume(rows))
    way = Way(settings.rank, settings.batch_tokens, settings.load_in_4bit, settings.gradient_checkpointing)
    assert memory_of(size, way).total <= (card.memory_gib or 0)
    assert settings.batch_tokens >= settings.max_length
    expected = forecast(size, card, volume(rows), settings, unsloth=False)
    assert expected.steps >= 10
    assert expected.seconds > 0


def test_larger_cards_train_as_large_a_step_in_fewer_parts() -> None:
    """The step is a matter of the data; its parts, precision and recomputation of the card."""
    data = volume(150_000)
    settings = [chosen(M4B, usual_card(gigabytes), data)[0] for gigabytes in SIZES]
    assert {one.batch_tokens * one.accumulation for one in settings} == {16_384}
    parts = [one.accumulation for one in settings]
    assert parts == sorted(parts, reverse=True)
    assert parts[0] > 1
    assert [one.load_in_4bit for one in settings] == [True, False, False, False, False]
    assert settings[0].gradient_checkpointing


def test_four_bits_where_the_rest_does_not_fit() -> None:
    """27B: 4 bits on 40 GB, bfloat16 on 80; nothing on 12, which is said with numbers."""
    assert chosen(M27B, usual_card(40), volume(3000))[0].load_in_4bit
    assert not chosen(M27B, usual_card(80), volume(3000))[0].load_in_4bit
    with pytest.raises(ModelError, match=r"even in 4 bits .* 12 GB has 11\.2 GiB"):
        choose(M27B, usual_card(12), volume(3000), has_unsloth=False)


def test_more_data_is_seen_less_often_and_by_more_parameters() -> None:
    """Rank grows with the tokens, epochs shrink."""
    settings = [chosen(M270, usual_card(80), volume(rows))[0] for rows in (300, 10_000, 150_000)]
    assert [one.rank for one in settings] == [8, 16, 32]
    assert [one.epochs for one in settings] == [4, 3, 2]
    batches = [one.batch_tokens for one in settings]
    assert batches == sorted(batches)


def test_rows_decide_the_length() -> None:
    """The smallest that 99 of 100 rows keep to."""
    for length, expected in ((100, 256), (300, 512), (900, 1536)):
        settings, why = chosen(M270, usual_card(80), volume(3000, length))
        assert settings.max_length == expected
        assert why["max_length"].why is Why.LENGTH_ROWS


@pytest.mark.parametrize("size", [M270, M4B], ids=["270m", "4b"])
@pytest.mark.parametrize("gigabytes", SIZES)
@pytest.mark.parametrize("processes", [2, 3, 4, 8])
@pytest.mark.parametrize("rows", [3000, 20_000, 150_000])
def test_several_processes_share_a_step(size: ModelSize, gigabytes: int, processes: int, rows: int) -> None:
    """They take as many steps over the same data as one, at the same rate, unless a row would not fit."""
    card, data = usual_card(gigabytes), volume(rows)
    (one, _), (several, why) = (chosen(size, card, data, processes=count) for count in (1, processes))
    step = one.batch_tokens * one.accumulation
    shared = several.batch_tokens * several.accumulation * processes
    if shared > 1.1 * step:  # whole rows have to fit into each share; then the plan says so
        assert several.batch_tokens == several.max_length
        assert why["batch_tokens"].why is Why.BATCH_LONGEST
        assert why["batch_tokens"].numbers["step"] == shared
        return
    assert step <= shared
    same = {"rank", "epochs", "learning_rate", "max_length", "validation_share", "patience"}
    assert one.model_dump(include=same) == several.model_dump(include=same)
    assert several.warmup_steps == pytest.approx(one.warmup_steps, rel=0.1, abs=1)
    assert several.eval_steps == pytest.approx(one.eval_steps, rel=0.1, abs=1)
    way = Way(several.rank, several.batch_tokens, several.load_in_4bit, several.gradient_checkpointing)
    assert memory_of(size, way).total <= (card.memory_gib or 0)
    alone, together = (
        forecast(size, card, data, settings, unsloth=False, processes=count)
        for settings, count in ((one, 1), (several, processes))
    )
    assert together.steps == pytest.approx(alone.steps, rel=0.1)
    assert together.tokens == alone.tokens
    assert together.seconds <= alone.seconds * 1.01  # steps too small for a card are no faster in parts


def test_shares_are_those_that_the_trainer_deals() -> None:
    """Two processes with their settings train as many steps as one, and together see every row as often."""
    rows = [EncodedRow(array("i", [0] * n), array("i"), 1.0) for n in range(20, 320, 3)] * 60
    tokens = sum(len(row.input_ids) for row in rows)
    data = Volume(len(rows), tokens, tuple(sorted(len(row.input_ids) for row in rows)), 50)
    seen, steps = {}, {}
    for count in (1, 2):
        settings, _ = chosen(M4B, usual_card(24), data, processes=count)
        dealt = [
            Processes(rank, count).share(plan_batches(rows, settings, Processes(rank, count)))
            for rank in range(count)
        ]
        assert len({len(batches) for batches in dealt}) == 1  # they wait for one another in every step
        steps[count] = math.ceil(len(dealt[0]) / settings.accumulation)
        seen[count] = Counter(row for batches in dealt for batch in batches for row in batch)
        assert set(seen[count]) == set(range(len(rows)))
        assert sum(seen[count].values()) == pytest.approx(len(rows) * settings.epochs, rel=0.01)
    assert steps[2] == pytest.approx(steps[1], rel=0.03)


def test_one_process_for_unsloth() -> None:
    """It trains in no more, so no preset of several has it; on a CPU they share the cores."""
    settings, why = chosen(M4B, usual_card(24), volume(20_000), processes=2)
    assert (settings.backend, why["backend"].why) == (Backend.TRL, Why.TRL_SEVERAL)
    speeds = [
        forecast(
            M270, CPU2, volume(300), FinetuneSettings(), unsloth=False, processes=count
        ).tokens_per_second
        for count in (1, 2)
    ]
    assert speeds[0] == speeds[1]


def test_cpu_is_spared() -> None:
    """No more than an hour where fewer epochs are enough, float32, small steps, no Unsloth."""
    settings, why = chosen(M270, CPU2, volume(3000))
    assert (settings.backend, settings.load_in_4bit, settings.compile_layers) == (Backend.TRL, False, False)
    assert settings.batch_tokens <= 4096
    assert settings.epochs == 1
    assert why["epochs"].why is Why.EPOCHS_TIME
    assert chosen(M270, replace(CPU2, cores=64), volume(1000))[0].epochs > 1


def test_what_trains_is_what_ends_first() -> None:
    """Unsloth where recomputation or 4 bits make TRL slow and there is enough to train, if it is there."""
    much, little = volume(20_000), volume(100)
    card = usual_card(24)
    for rows in (much, volume(2000)):
        settings, reasons = chosen(M4B, card, rows)
        assert (settings.backend, settings.compile_layers) == (Backend.UNSLOTH, False)
        assert reasons["backend"].numbers["unsloth"] < reasons["backend"].numbers["trl"]
    for size, data, has_unsloth, why, compiled in (
        (M4B, little, True, Why.TRL_FASTER, False),
        (M4B, much, False, Why.TRL_MISSING, True),
        (M270, much, True, Why.TRL_FASTER, True),
    ):
        settings, reasons = chosen(size, card, data, has_unsloth)
        numbers = reasons["backend"].numbers
        assert why is Why.TRL_MISSING or numbers["trl"] <= numbers["unsloth"]
        assert settings.backend is Backend.TRL
        assert reasons["backend"].why is why
        assert settings.compile_layers is compiled


def test_layers_are_compiled_where_that_ends_sooner() -> None:
    """Not for less than it takes to compile; in bfloat16 on a large card Unsloth ends no sooner."""
    card = usual_card(80)
    for rows, compiled in ((3000, False), (150_000, True)):
        settings, reasons = chosen(M270, card, volume(rows))
        assert (settings.backend, settings.compile_layers) == (Backend.TRL, compiled)
        numbers = reasons["compile_layers"].numbers
        assert (numbers["compiled"] < numbers["plain"]) is compiled
        expected = forecast(M270, card, volume(rows), settings, unsloth=False)
        assert expected.seconds / 60 == pytest.approx(numbers["compiled" if compiled else "plain"])


def test_validation_is_drawn_where_none_is_marked() -> None:
    """With enough rows; with few the last step is kept."""
    for rows, validation, share, patience in ((3000, 50, 0.0, 3), (3000, 0, 0.05, 3), (100, 0, 0.0, 0)):
        settings, _ = chosen(M270, usual_card(80), volume(rows, validation=validation))
        assert (settings.validation_share, settings.patience) == (share, patience)


def test_what_was_given_stands() -> None:
    """Also what no preset chooses; both say that it was given."""
    choices = choose(M270, usual_card(80), volume(3000), has_unsloth=False)
    given = {"rank": 64, "seed": 3}
    assert (settings_of(choices, given).rank, settings_of(choices, given).seed) == (64, 3)
    known = {one.key: one for one in with_given(choices, given)}
    assert {key for key, one in known.items() if one.why is Why.GIVEN} == {"rank", "seed"}
    assert known["rank"].value == 64


def test_forecast_follows_limits() -> None:
    """Rows too long, steps and seconds that end a run early: the forecast knows."""
    data, settings = volume(3000), FinetuneSettings(epochs=1, batch_tokens=4096, max_length=4096)
    whole = forecast(M270, cpu(), data, settings, unsloth=False)
    assert whole.tokens == data.tokens
    for limits in ({"max_steps": whole.steps // 2}, {"max_seconds": whole.seconds / 2}, {"max_length": 299}):
        less = forecast(M270, cpu(), data, settings.model_copy(update=limits), unsloth=False)
        assert less.tokens == pytest.approx(whole.tokens / 2, rel=0.03)
        assert less.seconds == pytest.approx(whole.seconds / 2, rel=0.03)


@pytest.mark.parametrize("card", [usual_card(12), usual_card(80), CPU2], ids=["12", "80", "cpu"])
@pytest.mark.parametrize("processes", [1, 2, 8])
@pytest.mark.parametrize("language", list(Language))
def test_every_reason_has_words(card: Card, processes: int, language: Language) -> None:
    """Whatever is chosen, its reason can be said with the numbers it has."""
    for size in (M270, M4B):
        for rows in (60, 3000, 150_000):
            data = volume(rows, validation=rows % 7)
            for one in choose(size, card, data, has_unsloth=rows > 100, processes=processes):
                assert "{" not in TEXTS[language].why[one.why].format(**one.numbers)


@pytest.mark.parametrize("language", [language for language in Language if language is not Language.EN])
def test_languages_say_the_same(language: Language) -> None:
    """All reasons are there, in all languages, with the same numbers."""
    assert set(ENGLISH.why) == set(Why)
    require_same(ENGLISH, TEXTS[language])
