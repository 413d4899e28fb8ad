"""Data ids as people type them."""

from __future__ import annotations

import pytest

from skyloom.errors import RepositoryError
from skyloom.report.data_ids import expression_of

KEYS = {"exposure", "detector", "physical_filter"}


@pytest.mark.parametrize(
    ("terms", "expression"),
    [
        (["exposure=3", "detector=2"], "exposure IN (3) AND detector IN (2)"),
        (["exposure=3^4", "detector=0..8:2"], "exposure IN (3, 4) AND detector IN (0..8:2)"),
        (["exposure=3", "exposure=5..7"], "exposure IN (3, 5..7)"),
        (["physical_filter=i.MP9702^r"], "physical_filter IN ('i.MP9702', 'r')"),
    ],
)
def test_terms_become_an_expression(terms: list[str], expression: str) -> None:
    assert expression_of(terms, KEYS) == expression


@pytest.mark.parametrize("term", ["exposure", "=3", "exposure=", "exposure=3^", "physical_filter=r' OR 'a' = 'a"])
def test_what_is_no_term_is_refused(term: str) -> None:
    with pytest.raises(RepositoryError, match="no part of a data id"):
        expression_of([term], KEYS)


def test_unknown_keys_are_named() -> None:
    with pytest.raises(RepositoryError, match="'ccd'"):
        expression_of(["ccd=3"], KEYS)
