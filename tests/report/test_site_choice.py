"""Which visits and patches of a large output get pages."""

from __future__ import annotations

import pytest

from skyloom.report.site_choice import PageLimits, choose_pages
from skyloom.report.site_pages import PageJob
from skyloom.report.site_run import Failure, SiteData
from skyloom.report.site_tables import visit_table
from skyloom.report.site_visits import SiteVisit

SEEING = {1: 0.8, 2: 1.4, 3: float("nan"), 4: 0.9, 5: 1.1}
VISITS = [
    SiteVisit(instrument="cam", visit=visit, frames=4, calibrated=3 if visit == 4 else 4, seeing_arcsec=seeing)
    for visit, seeing in SEEING.items()
]
JOBS = [
    *(PageJob(kind="visit", place=("cam", visit), digest="") for visit in SEEING),
    PageJob(kind="tract", place=("cam", "map", 0), digest=""),
    *(PageJob(kind="coadd", place=("map", 0, patch), digest="") for patch in range(9)),
]


def numbers(kind: str, jobs: list[PageJob]) -> list[int | str]:
    return [job.place[-1] for job in jobs if job.kind == kind]


@pytest.mark.parametrize(
    ("most", "visits"),
    [
        pytest.param(20, [1, 2, 3, 4, 5], id="up to the limit all"),
        pytest.param(19, [2, 4], id="the one with a failure, then the widest"),
        pytest.param(1, [4], id="at least one"),
    ],
)
def test_of_many_visits_the_worst_have_pages(most: int, visits: list[int]) -> None:
    chosen = choose_pages(JOBS, VISITS, PageLimits(frames=most))
    assert numbers("visit", chosen) == visits
    assert numbers("coadd", chosen) == list(range(9))


def test_of_many_patches_pages_are_spread_over_them() -> None:
    chosen = choose_pages(JOBS, VISITS, PageLimits(patches=3))
    assert numbers("coadd", chosen) == [0, 4, 8]
    assert numbers("visit", chosen) == list(SEEING)
    assert numbers("tract", chosen) == [0]


def test_a_visit_without_a_page_is_in_the_table_without_a_verdict() -> None:
    table = visit_table(VISITS, {})
    assert [row[0].text for row in table.rows] == [str(visit) for visit in SEEING]
    assert {row[-1].text for row in table.rows} == {""}
    assert [row[-2].tone for row in table.rows] == ["", "", "", "bad", ""]


def test_failures_of_which_no_run_tells_come_first() -> None:
    other = Failure(task="make_flat", name="detector 2, r", reason="too few")
    data = SiteData(butler=None, output="out", other_failures=[other])  # type: ignore[arg-type]
    assert [(one.task, one.where, one.reason) for one in data.failures] == [("make_flat", "detector 2, r", "too few")]
