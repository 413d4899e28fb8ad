"""Data ids of the classic command line, and what they are to the butler."""

from __future__ import annotations

import pytest

from skyloom.tasks.classic_values import DataIdError, parse_data_id, where_of


@pytest.mark.parametrize(
    ("terms", "values"),
    [
        ("visit=3", {"visit": [3]}),
        ("visit=3^1^3", {"visit": [3, 1]}),
        ("ccd=0..3", {"detector": [0, 1, 2, 3]}),
        ("ccd=0..8:3^20", {"detector": [0, 3, 6, 20]}),
        ("ccd=2..2 visit=7", {"detector": [2], "visit": [7]}),
        ("patch=1,2^0,0^5", {"patch": ["1,2", "0,0", 5]}),
        ("filter=r.MP9601^g", {"filter": ["r.MP9601", "g"]}),
        ("", {}),
    ],
)
def test_values(terms: str, values: dict[str, list[int | str]]) -> None:
    assert parse_data_id(terms.split()) == values


@pytest.mark.parametrize(
    ("terms", "says"),
    [
        (["visit"], "'visit' is no part of a data id. Write visit=3"),
        (["visit="], "no part of a data id"),
        (["visit=1..x"], "no part of a data id"),
        (["ccd=4..2"], "range without values"),
        (["ccd=0..4:0"], "range without values"),
        (["ccd=0..10000000"], "more than 100000 values"),
        (["object=O'Neill"], "no part of a data id"),
        (["ccd=1", "detector=2"], "detector comes twice. Join its values"),
    ],
)
def test_what_cannot_be_read(terms: list[str], says: str) -> None:
    with pytest.raises(DataIdError) as caught:
        parse_data_id(terms)
    assert says in str(caught.value)


def test_expression_of_the_butler() -> None:
    assert where_of({"visit": [1, 2], "band": ["r"]}) == "visit IN (1, 2) AND band IN ('r')"
