"""SExtractor and PSFEx on frames, as one would before SCAMP, and their catalogues as the joint fit takes them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.table import Table
from lsst.images import Box, DetectorFrame

from skyloom.images import PhotoCalib, projection_from_header
from skyloom.jointcal import FrameCatalogue

COLUMNS = (
    *("NUMBER", "X_IMAGE", "Y_IMAGE", "XWIN_IMAGE", "YWIN_IMAGE", "ERRAWIN_IMAGE", "ERRBWIN_IMAGE"),
    *("ERRTHETAWIN_IMAGE", "ALPHA_J2000", "DELTA_J2000", "FLUX_APER(1)", "FLUXERR_APER(1)", "FLUX_AUTO"),
    *("FLUXERR_AUTO", "FLUX_RADIUS", "ELONGATION", "FLAGS", "SNR_WIN"),
)
_PIXEL_MM = 0.01
_BAD_FLAGS = 0xFC
"""SCAMP leaves out the same."""


def extract(path: Path, work: Path, defaults: Path, *, gain: float, saturation: float) -> Path:
    """Write the catalogue of a frame, FITS_LDAC, with fluxes by a PSF of second order; where it is.

    Parameters
    ----------
    path
        The frame.
    work
        Folder for what is written.
    defaults
        SExtractor's configuration, filter and network, without their endings.
    gain, saturation
        Electrons a count, counts.
    """
    options = ["-c", f"{defaults}.sex", "-FILTER_NAME", f"{defaults}.conv", "-STARNNW_NAME", f"{defaults}.nnw"]
    options += ["-CATALOG_TYPE", "FITS_LDAC", "-PHOT_APERTURES", "12", "-SATUR_LEVEL", str(saturation)]
    options += ["-GAIN", str(gain), "-VERBOSE_TYPE", "QUIET"]
    stamps, catalogue = work / f"{path.stem}.vignet.cat", work / f"{path.stem}.cat"
    _write_columns(work / "stamps.param", "VIGNET(35,35)")
    _write_columns(work / "catalogue.param", "XPSF_IMAGE", "YPSF_IMAGE", "FLUX_PSF", "FLUXERR_PSF")
    command = ["source-extractor", str(path.resolve()), *options]
    _run(work, *command, "-PARAMETERS_NAME", "stamps.param", "-CATALOG_NAME", stamps.name)
    _run(work, "psfex", stamps.name, "-PSFVAR_DEGREES", "2", "-CHECKIMAGE_TYPE", "NONE", "-CHECKPLOT_DEV", "NULL")
    _run(work, *command, "-PARAMETERS_NAME", "catalogue.param", "-CATALOG_NAME", catalogue.name, *_psf(stamps))
    return catalogue


def _psf(stamps: Path) -> list[str]:
    return ["-PSF_NAME", stamps.with_suffix(".psf").name]


def _write_columns(path: Path, *more: str) -> None:
    path.write_text("\n".join((*COLUMNS, *more)) + "\n")


def _run(work: Path, *command: str) -> None:
    quiet = ["-WRITE_XML", "N", "-VERBOSE_TYPE", "QUIET", "-NTHREADS", "1"]
    subprocess.run([*command, *quiet], cwd=work, check=True, capture_output=True)


def read_catalogue(path: Path, *, visit: int, flux: str, zero_point: float) -> FrameCatalogue:
    """The stars of a frame that SCAMP would take, too."""
    with fits.open(path) as hdus:
        cards = np.ravel(hdus[1].data[0][0])
        header = fits.Header.fromstring("".join(str(card).ljust(80) for card in cards))
        table = Table(np.asarray(hdus[2].data))
    error = f"FLUXERR{flux.removeprefix('FLUX')}"
    good = (table["FLAGS"] & _BAD_FLAGS == 0) & (table["FLUX_RADIUS"] > 0.0) & (table["ELONGATION"] < 3.0)
    table = table[good & (table[error] > 0.0) & (table[flux] > 10.0 * table[error])]
    box = Box.from_shape((header["NAXIS2"], header["NAXIS1"]))
    pixels = DetectorFrame(instrument="peer", visit=visit, detector=0, bbox=box)
    return FrameCatalogue(
        visit=visit,
        detector=0,
        box=box,
        projection=projection_from_header(header, pixels),
        photo_calib=PhotoCalib.from_zero_point(zero_point),
        focal_plane=lambda x, y: (_PIXEL_MM * np.asarray(x, float), _PIXEL_MM * np.asarray(y, float)),
        epoch_year=np.nan,
        x=np.asarray(table["XWIN_IMAGE"], float) - 1.0,
        y=np.asarray(table["YWIN_IMAGE"], float) - 1.0,
        covariance=_covariance(table),
        flux=np.asarray(table[flux], float),
        flux_err=np.asarray(table[error], float),
        source_id=np.asarray(table["NUMBER"], np.int64),
    )


def _covariance(table: Table) -> np.ndarray:
    """Covariances of the positions from the axes of their error ellipses, ``[n, 2, 2]``."""
    angle = np.radians(np.asarray(table["ERRTHETAWIN_IMAGE"], float))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]).transpose(2, 0, 1)
    axes = np.stack([np.asarray(table[name], float) for name in ("ERRAWIN_IMAGE", "ERRBWIN_IMAGE")], axis=1)
    return np.einsum("nij,nj,nkj->nik", turn, axes**2, turn)
