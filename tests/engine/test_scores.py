"""Calibration is monotone and exact at its points; scores name the likeliest category."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from engine.findings import Category
from engine.prompts import CATEGORY_LABELS, LABELS, NO_FINDING
from engine.scores import Calibration, LineScore, item_score, line_scores

CURVE = Calibration(points=((0.1, 0.0), (0.5, 0.2), (0.9, 0.8)))
probabilities = st.floats(min_value=0, max_value=1)


def test_labels_and_scores_agree() -> None:
    """A label row is ok first, then the categories in order."""
    assert (NO_FINDING, *(CATEGORY_LABELS[category] for category in Category)) == LABELS


@pytest.mark.parametrize(
    ("raw", "calibrated"), [(0, 0), (0.1, 0), (0.3, 0.1), (0.5, 0.2), (0.7, 0.5), (0.9, 0.8), (1, 0.8)]
)
def test_calibration_interpolates(raw: float, calibrated: float) -> None:
    """Points are met exactly, the line between them is straight, outside it is flat."""
    assert CURVE.calibrate(raw) == pytest.approx(calibrated)


@given(first=probabilities, second=probabilities)
def test_calibration_keeps_order(first: float, second: float) -> None:
    """A higher raw probability is never calibrated to a lower one, and all stay in 0..1."""
    low, high = sorted((first, second))
    assert 0 <= CURVE.calibrate(low) <= CURVE.calibrate(high) <= 1


@given(raw=probabilities)
def test_default_calibration_is_identity(raw: float) -> None:
    """Without an adapter the model's probability stands."""
    assert Calibration().calibrate(raw) == raw


@pytest.mark.parametrize(
    "points", [[], [(0, 0.5), (1, 0.4)], [(0.5, 0), (0.5, 1)], [(0, 0), (1, 1.5)], [(0, float("nan"))]]
)
def test_bad_curves_are_refused(points: list[tuple[float, float]]) -> None:
    """A curve that falls, stands on one spot, leaves 0..1 or is no number is refused."""
    with pytest.raises(ValidationError):
        Calibration.model_validate({"points": points})


def test_category_is_the_likeliest_of_those_that_are_not_ok() -> None:
    """`ok` decides whether, the rest decides what."""
    row = [0.6, 0.1, 0.2, 0.02, 0.02, 0.02, 0.02, 0.02]
    (score,) = line_scores([12], [row], Calibration())
    assert (score.line, score.category) == (12, Category.SECURITY)
    assert score.probability == pytest.approx(0.4)


def test_category_threshold_stands_in() -> None:
    """A category's own threshold goes before the general one."""
    calibration = Calibration(threshold=0.9, category_thresholds={Category.SECURITY: 0.3})
    assert calibration.passes(LineScore(1, Category.SECURITY, 0.3, 0.3))
    assert not calibration.passes(LineScore(1, Category.BUG, 0.8, 0.8))


def test_item_score_is_the_highest() -> None:
    """An item is as suspicious as its worst line; one without lines is not."""
    scores = [LineScore(n, Category.BUG, n / 10, n / 10) for n in (1, 5, 3)]
    assert (item_score(scores), item_score([])) == (0.5, 0.0)


def test_wrong_number_of_labels_is_refused() -> None:
    """Rows over other labels are an error, not a shifted category."""
    with pytest.raises(ValueError, match="7 label probabilities"):
        line_scores([1], [[0.5] + [0.1] * 6], Calibration())


def test_items_have_a_map_of_their_own() -> None:
    """Where item points are given they are read for hunks only; without them the lines' map holds."""
    lines = ((0.0, 0.0), (1.0, 0.5))
    assert Calibration(points=lines).calibrate_item(0.5) == 0.25
    both = Calibration(points=lines, item_points=((0.0, 0.2), (1.0, 1.0)))
    assert both.calibrate(0.5) == 0.25
    assert both.calibrate_item(0.5) == pytest.approx(0.6)
    with pytest.raises(ValidationError, match="item_points"):
        Calibration(item_points=((0.5, 0.5), (0.2, 0.6)))
