"""A simulated survey as the datasets of a pipeline, and what stands in for the butler of the joint calibration."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
from astropy.table import Table

from skyloom.catalog.htm import circle_shards
from skyloom.images import fits_header
from skyloom.instruments import Camera
from skyloom.jointcal import FrameCatalogue
from skyloom.simulate.star_catalogues import CatalogueSurvey, CatalogueSurveySettings
from skyloom.skymap import DiscreteSkyMap


def star_table_of(frame: FrameCatalogue) -> Table:
    """The stars of a frame as its calibration writes them."""
    n = len(frame.x)
    return Table(
        {
            "source_id": frame.source_id,
            "x": frame.x,
            "y": frame.y,
            "x_err": np.sqrt(frame.covariance[:, 0, 0]),
            "y_err": np.sqrt(frame.covariance[:, 1, 1]),
            "ixx": np.full(n, 4.0),
            "iyy": np.full(n, 4.0),
            "ixy": np.zeros(n),
            "extendedness": np.zeros(n),
            "psf_flux": frame.flux,
            "psf_flux_err": frame.flux_err,
        }
    )


def summary_of(frames: list[FrameCatalogue]) -> Table:
    """The columns of a visit summary that the joint calibration reads."""
    rows = []
    for frame in frames:
        header, _ = fits_header(frame.projection, frame.box)
        box = frame.box
        rows.append(
            {
                "detector": frame.detector,
                "epoch": frame.epoch_year,
                "wcs": header.tostring(sep="\n", endcard=False, padding=False),
                "x0": box.x.start,
                "y0": box.y.start,
                "x1": box.x.stop,
                "y1": box.y.stop,
            }
        )
    return Table(rows)


@cache
def camera_of(settings: CatalogueSurveySettings) -> Camera:
    """The camera of a survey."""
    (columns, lines), (width, height) = settings.grid, settings.size
    detectors = "".join(
        f"""
  - id: {chip}
    name: c{chip}
    size: [{width}, {height}]
    position: [{(chip % columns - 0.5 * (columns - 1)) * width}, {(chip // columns - 0.5 * (lines - 1)) * height}]
    amplifiers:
      - name: A
        box: {{x: [0, {width}], y: [0, {height}]}}
        raw: {{box: {{x: [0, {width}], y: [0, {height}]}}, data: {{x: [0, {width}], y: [0, {height}]}}}}
        readout_corner: LL
        gain: 1.0
        read_noise: 1.0
        saturation: 60000"""
        for chip in range(columns * lines)
    )
    return Camera.from_yaml(f"""
name: simulated
telescope: Small
recognise: {{INSTRUME: simulated}}
position_unit: px
pixel_scale: {settings.pixel_scale} arcsec
pixel_size: 10 um
pointing_error: 30 arcsec
detectors:{detectors}
filters:
  r: {{band: r}}
header: {{exposure_id: EXPNUM, detector: DETNUM, exposure_time: EXPTIME, date: DATE-OBS, ra: RA, dec: DEC,
  filter: FILTER, observation_type: IMGTYPE}}
""")


@dataclass
class Quantum:
    """Stands in for the butler of the quantum of a survey: hands out inputs, keeps what is put."""

    survey: CatalogueSurvey
    stars: dict[tuple[int, int], Table] = field(init=False)
    photo_calibs: dict[tuple[int, int], Any] = field(init=False)
    summaries: dict[int, Table] = field(init=False)
    put_visits: dict[str, dict[int, Table]] = field(default_factory=dict)
    put_whole: dict[str, Table] = field(default_factory=dict)

    def __post_init__(self) -> None:
        frames = self.survey.frames
        self.quantum = SimpleNamespace(dataId={"tract": 0, "physical_filter": "r"})
        self.stars = {(frame.visit, frame.detector): star_table_of(frame) for frame in frames}
        self.photo_calibs = {(frame.visit, frame.detector): frame.photo_calib for frame in frames}
        visits = {frame.visit for frame in frames}
        self.summaries = {visit: summary_of([one for one in frames if one.visit == visit]) for visit in visits}

    @property
    def references(self) -> SimpleNamespace:
        """Names of the datasets to write."""
        visits = [SimpleNamespace(dataId={"visit": visit}) for visit in sorted(self.summaries)]
        per_visit = {
            name: [SimpleNamespace(dataId=one.dataId, name=name) for one in visits]
            for name in ("joint_wcs", "joint_photo_calib")
        }
        whole = ("joint_stars", "joint_measurements", "joint_history", "joint_metrics")
        return SimpleNamespace(**per_visit, **{name: SimpleNamespace(dataId={}, name=name) for name in whole})

    def get(self, _: Any) -> dict[str, Any]:
        settings, radius = self.survey.settings, 0.1
        circle = {"ra": settings.ra, "dec": settings.dec, "radius": radius}
        shards = circle_shards(settings.ra, settings.dec, 2.0 * radius)
        return {
            "stars": [_handle(table, visit=v, detector=d) for (v, d), table in self.stars.items()],
            "photo_calibs": [_handle(calib, visit=v, detector=d) for (v, d), calib in self.photo_calibs.items()],
            "visit_summaries": [_handle(table, visit=visit) for visit, table in self.summaries.items()],
            "camera": camera_of(settings),
            "sky_map": DiscreteSkyMap(
                name="field", tracts=(circle,), pixel_scale=settings.pixel_scale, patch_size=4000
            ),
            "ref_cat": [
                _handle(self.survey.references[number :: len(shards)], htm7=shard)
                for number, shard in enumerate(shards)
            ],
        }

    def put(self, table: Table, reference: Any) -> None:
        if "visit" in reference.dataId:
            self.put_visits.setdefault(reference.name, {})[reference.dataId["visit"]] = table
        else:
            self.put_whole[reference.name] = table


def _handle(dataset: Any, **data_id: int) -> SimpleNamespace:
    return SimpleNamespace(dataId=data_id, get=lambda: dataset)
