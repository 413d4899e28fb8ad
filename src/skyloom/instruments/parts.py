"""What all parts of a camera's YAML file have in common: strict models, boxes of pixels, expressions."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict

from .expressions import Expression

__all__ = ["BoxDescription", "ExpressionText", "Part"]


class Part(BaseModel):
    """A part of the file, with these fields and no others."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


def _check_interval(value: tuple[int, int]) -> tuple[int, int]:
    if value[0] >= value[1]:
        raise ValueError(f"an interval is [first, one past the last], which {list(value)} is not")
    return value


Interval = Annotated[tuple[int, int], AfterValidator(_check_interval)]


class BoxDescription(Part):
    """A rectangle of pixels: half-open intervals, counted from 0."""

    x: Interval
    y: Interval

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.y[1] - self.y[0], self.x[1] - self.x[0]


def _check_expression(text: str) -> str:
    Expression(text)
    return text


ExpressionText = Annotated[str, AfterValidator(_check_expression)]
"""An expression over a header, checked when the file is read."""
