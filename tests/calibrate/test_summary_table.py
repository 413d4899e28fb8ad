"""The row of a visit's table holds the frame's statistics under our names, and NaN where there are none."""

from __future__ import annotations

import math

from lsst.images import ObservationSummaryStats

from fixtures import samples
from skyloom.images import to_visit_image
from skyloom.tasks.visit_summary import VisitSummaryTask, summary_row


def test_row_holds_the_statistics() -> None:
    exposure = samples.calibrated()
    exposure.summary = ObservationSummaryStats(magLim=24.5, psfStarDeltaE1Median=0.01, meanVar=300.0)
    exposure.metadata |= {"zero_point_err_mag": 0.004, "n_photometry_stars": 33}
    frame = to_visit_image(exposure)
    row = summary_row(3, frame, frame.bbox)
    assert (row["magnitude_limit"], row["psf_e1_residual"], row["mean_variance"]) == (24.5, 0.01, 300.0)
    assert (row["zero_point_err"], row["n_photometry_stars"]) == (0.004, 33)
    assert math.isnan(row["effective_time"])
    table = VisitSummaryTask().run([(3, frame, frame.bbox)]).visit_summary
    assert table["magnitude_limit"].unit == "mag"
    assert all(table[name].description for name in table.colnames)
