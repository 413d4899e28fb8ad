from __future__ import annotations

import astropy.units as u
import numpy as np

from skyloom.catalog.sources import make_source_table, source_columns

NAMES = [
    "source_id",
    "parent_id",
    "x",
    "y",
    "x_err",
    "y_err",
    "ra",
    "dec",
    "footprint_area",
    "ixx",
    "iyy",
    "ixy",
    "peak_value",
    "psf_flux",
    "psf_flux_err",
    "aperture_flux_3_0",
    "aperture_flux_3_0_err",
    "aperture_flux_12_0",
    "aperture_flux_17_0_err",
    "aperture_flag_4_5",
    "flag_edge",
    "flag_saturated",
    "flag_saturated_center",
    "flag_interpolated",
    "flag_interpolated_center",
    "flag_bad",
    "flag_no_data",
    "flag_cosmic_ray",
    "flag_centroid",
    "flag_shape",
    "flag_psf_flux",
    "flag_blended",
    "flag_off_image",
    "flag_suspect_center_all",
    "flag_sky_source",
    "is_primary",
    "psf_flux_chi2",
    "psf_ixx",
    "extendedness",
    "kron_flux_err",
    "gaussian_flux",
    "tophat_flux",
    "blendedness",
    "local_variance",
]


def test_columns_have_units_and_descriptions() -> None:
    table = make_source_table(0, u.electron)
    assert set(NAMES) <= set(table.colnames)
    assert len(table) == 0
    for name in table.colnames:
        assert table[name].description
    assert table["x"].unit == u.pix
    assert table["ra"].unit == u.deg
    assert table["psf_flux"].unit == table["aperture_flux_3_0"].unit == u.electron
    assert table["source_id"].dtype == np.int64
    assert table["flag_edge"].dtype == bool


def test_rows_start_unmeasured() -> None:
    table = make_source_table(2, u.nJy, (2.5,))
    assert np.isnan(table["x"]).all()
    assert not table["flag_bad"].any()
    assert "aperture_flux_2_5" in table.colnames
    assert "aperture_flux_3_0" not in table.colnames
    assert table.meta["aperture_radii"] == [2.5]


def test_names_are_unique() -> None:
    names = [column.name for column in source_columns(u.electron)]
    assert len(names) == len(set(names))
