"""A configuration made from a settings dataclass has its knobs, defaults and words."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import pytest
from lsst.pex.config import FieldValidationError

from skyloom.tasks.mirrored_config import mirror


@dataclass(frozen=True)
class Inner:
    depth: int = 1


@dataclass(frozen=True)
class ExampleSettings:
    """An example."""

    threshold: float = 5.0
    """Where it begins,
    in sigma."""
    size: int | None = None
    planes: tuple[str, ...] = ("BAD",)
    stars_for: tuple[int, int] = (12, 30)
    method: Literal["one", "two"] = "one"
    inner: Inner = field(default_factory=Inner)


def test_it_describes_the_settings_that_it_was_made_from() -> None:
    settings = ExampleSettings(threshold=7.0, inner=Inner(3))
    assert mirror(settings)().settings() == settings


def test_what_the_user_sets_arrives() -> None:
    config = mirror(ExampleSettings(), documented={"threshold": "thresholdValue"})()
    config.thresholdValue, config.size, config.planes, config.method = 4.0, 25, ["SAT", "CR"], "two"
    assert config.settings() == ExampleSettings(threshold=4.0, size=25, planes=("SAT", "CR"), method="two")


def test_words_are_those_below_the_fields() -> None:
    kind = mirror(ExampleSettings())
    assert kind.threshold.doc == "Where it begins, in sigma."
    assert kind.__doc__ == "An example."
    assert "inner" not in kind._fields


def test_fields_left_unset_are_told_later() -> None:
    config = mirror(ExampleSettings(), unset=["threshold"])()
    assert config.threshold is None
    assert config.settings(threshold=2.5).threshold == 2.5
    config.threshold = 3.5
    assert config.settings(threshold=2.5).threshold == 3.5


def test_wrong_values_and_names_are_refused() -> None:
    config = mirror(ExampleSettings())()
    with pytest.raises(FieldValidationError):
        config.method = "three"
    with pytest.raises(FieldValidationError):
        config.stars_for = ["many"]
    with pytest.raises(ValueError, match="no_such"):
        mirror(ExampleSettings(), documented={"no_such": "noSuch"})
