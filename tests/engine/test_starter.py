"""The adapter that comes along: whole, small enough to ship, and with a card that says how good it is."""

from engine.adapters import WEIGHTS, load_adapter, starter_adapter
from engine.wire import Language


def test_the_starter_adapter_is_whole_and_small() -> None:
    """Every file has the hash that the manifest names, and all together stay under 16 MB."""
    directory = starter_adapter()
    assert directory is not None
    adapter = load_adapter(directory)
    assert adapter.manifest.tasks == ("score", "write")
    assert set(adapter.manifest.languages) == set(Language)
    assert sum(path.stat().st_size for path in directory.iterdir()) < 16_000_000
    assert (directory / WEIGHTS).stat().st_size > 1_000_000


def test_the_card_says_what_the_manifest_measured() -> None:
    """The scores that the manifest carries stand in the card, rounded as there."""
    directory = starter_adapter()
    assert directory is not None
    card = (directory / "README.md").read_text("utf-8")
    scores = load_adapter(directory).manifest.scores
    for name in ("item_auc", "line_auc", "top1", "top1_category", "recall90"):
        assert f"{scores[name]:.3f}" in card


def test_the_starter_speaks_only_where_it_was_calibrated_to() -> None:
    """Its threshold is no default: it came out of an evaluation, with a map of many points."""
    directory = starter_adapter()
    assert directory is not None
    calibration = load_adapter(directory).manifest.calibration
    assert 0 < calibration.threshold < 1
    assert len(calibration.points) > 2
    assert len(calibration.item_points) > 2


def test_the_starter_can_be_proved_when_it_is_loaded() -> None:
    """Its manifest records what it does to the base model on the probe."""
    directory = starter_adapter()
    assert directory is not None
    assert load_adapter(directory).manifest.probe is not None
