"""SCAMP on the catalogues of a joint fit: writes what it reads, runs it, and reads back WCSs and flux scales."""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS

from skyloom.images import fits_header
from skyloom.jointcal import FrameCatalogue

OBJECTS = (
    *("NUMBER", "X_IMAGE", "Y_IMAGE", "ERRA_IMAGE", "ERRB_IMAGE", "ERRTHETA_IMAGE"),
    *("FLUX_AUTO", "FLUXERR_AUTO", "FLAGS", "FLUX_RADIUS", "ELONGATION", "SNR_WIN"),
)


@dataclass(frozen=True)
class ScampSettings:
    """What a user chooses; the rest is SCAMP's own."""

    degree: int = 3
    """Of the polynomial of each detector."""
    focal_plane_degree: int = 1
    """Of the polynomial over the camera."""
    stability: str = "EXPOSURE"
    """EXPOSURE: polynomials of the detectors for each exposure; INSTRUMENT: common to all, and one over the camera for
    each exposure."""
    match: bool = False
    """Whether patterns are looked for before stars are associated; it costs most of the time and good WCSs do
    without."""
    crossid_arcsec: float = 2.0
    flux: str = "FLUX_AUTO"
    """Column of the catalogues."""
    centroid: str = "WIN_IMAGE"
    """Ending of the columns of the positions and their errors."""

    def options(self) -> list[str]:
        """On SCAMP's command line."""
        place = ",".join(f"{axis}{self.centroid}" for axis in ("X", "Y"))
        errors = [f"ERR{axis}{self.centroid}" for axis in ("A", "B", "THETA")]
        options = {
            "ASTREF_CATALOG": "FILE",
            "ASTREFCAT_NAME": "ref.cat",
            "ASTREFCENT_KEYS": "X_WORLD,Y_WORLD",
            "ASTREFERR_KEYS": "ERRA_WORLD,ERRB_WORLD,ERRA_WORLD",
            "ASTREFMAG_KEY": "MAG",
            "ASTREFMAGERR_KEY": "MAGERR",
            "CENTROID_KEYS": place,
            "CENTROIDERR_KEYS": ",".join(errors),
            "DISTORT_KEYS": place,
            "DISTORT_DEGREES": str(self.degree),
            "FOCDISTORT_DEGREE": str(self.focal_plane_degree),
            "STABILITY_TYPE": self.stability,
            "MATCH": "Y" if self.match else "N",
            "CROSSID_RADIUS": str(self.crossid_arcsec),
            "PHOTFLUX_KEY": self.flux,
            "PHOTFLUXERR_KEY": f"FLUXERR{self.flux.removeprefix('FLUX')}",
            "SN_THRESHOLDS": "10,200",
            "CHECKPLOT_DEV": "NULL",
            "WRITE_XML": "N",
            "NTHREADS": "1",
            "VERBOSE_TYPE": "QUIET",
        }
        return [part for name, value in options.items() for part in (f"-{name}", value)]


@dataclass(frozen=True)
class ScampResult:
    """What SCAMP made of the frames."""

    wcs: dict[tuple[int, int], WCS]
    """By visit and detector."""
    flux_scale: dict[tuple[int, int], float]
    cpu_s: float


def run_scamp(
    frames: Sequence[FrameCatalogue], references: Table, work: Path, settings: ScampSettings, *, flux: str
) -> ScampResult:
    """Run SCAMP, one catalogue a visit, written from the frames."""
    work.mkdir(parents=True, exist_ok=True)
    visits = sorted({frame.visit for frame in frames})
    for visit in visits:
        write_visit(work / f"v{visit}.cat", [frame for frame in frames if frame.visit == visit])
    write_references(work / "ref.cat", references, flux)
    cpu = call_scamp([f"v{visit}.cat" for visit in visits], work, settings)
    wcs, scale = {}, {}
    for visit in visits:
        mine = [frame for frame in frames if frame.visit == visit]
        for frame, header in zip(mine, read_heads(work / f"v{visit}.head"), strict=True):
            wcs[visit, frame.detector] = WCS(header)
            scale[visit, frame.detector] = float(header.get("FLXSCALE", 1.0))
    return ScampResult(wcs, scale, cpu)


def call_scamp(catalogues: Sequence[str], work: Path, settings: ScampSettings) -> float:
    """Run SCAMP on catalogues and ``ref.cat`` in a folder; its CPU seconds, of user and system."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(["scamp", *catalogues, *settings.options()], cwd=work, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def write_visit(path: Path, frames: Sequence[FrameCatalogue]) -> None:
    """A FITS_LDAC file with the catalogues of the detectors of a visit."""
    hdus: list[fits.hdu.base._BaseHDU] = [fits.PrimaryHDU()]
    for frame in frames:
        header = tangent_plane(frame)
        header["EXPTIME"], header["GAIN"], header["FILTER"], header["MJD-OBS"] = 1.0, 1.0, "r", 57388.0 + frame.visit
        header["EPOCH"] = 2000.0
        # What follows END is not read, but keeps the blanks of that card from being stripped.
        text = header.tostring(endcard=True, padding=False) + "COMMENT".rjust(80)
        card = fits.Column("Field Header Card", f"{len(text)}A", array=np.array([text.encode()]))
        table = named_table([card], "LDAC_IMHEAD")
        table.header["TDIM1"] = f"(80, {len(text) // 80})"
        hdus += [table, objects(frame)]
    fits.HDUList(hdus).writeto(path, overwrite=True)


def named_table(columns: list[fits.Column], name: str) -> fits.BinTableHDU:
    """A table whose name comes before its columns: SCAMP crashes on others."""
    table = fits.BinTableHDU.from_columns(columns)
    table.header.insert("TTYPE1", ("EXTNAME", name))
    return table


def tangent_plane(frame: FrameCatalogue) -> fits.Header:
    """The plain cards of the WCS that a frame comes with; its distortion, where it has one, is left to the fit."""
    wcs = WCS(fits_header(frame.projection, frame.box)[0])
    header = fits.Header()
    header["SIMPLE"], header["BITPIX"], header["NAXIS"] = True, -32, 2
    header["NAXIS1"], header["NAXIS2"] = frame.box.x.size, frame.box.y.size
    header["CTYPE1"], header["CTYPE2"] = "RA---TAN", "DEC--TAN"
    for axis in (0, 1):
        header[f"CRVAL{axis + 1}"], header[f"CRPIX{axis + 1}"] = wcs.wcs.crval[axis], wcs.wcs.crpix[axis]
        for other in (0, 1):
            header[f"CD{axis + 1}_{other + 1}"] = wcs.pixel_scale_matrix[axis, other]
    return header


def objects(frame: FrameCatalogue) -> fits.BinTableHDU:
    """The table of the stars of a frame."""
    n = len(frame.x)
    error = np.sqrt(frame.covariance[:, 0, 0])
    values = (np.arange(1, n + 1), frame.x + 1.0, frame.y + 1.0, error, error, np.zeros(n))
    columns = [
        fits.Column(name, kind, array=array)
        for name, kind, array in zip(
            OBJECTS,
            ("1J", "1D", "1D", "1E", "1E", "1E", "1E", "1E", "1I", "1E", "1E", "1E"),
            (
                *values,
                frame.flux,
                frame.flux_err,
                np.zeros(n, np.int16),
                2.0 * np.ones(n),
                np.ones(n),
                frame.flux / frame.flux_err,
            ),
            strict=True,
        )
    ]
    return named_table(columns, "LDAC_OBJECTS")


def write_references(path: Path, references: Table, flux: str) -> None:
    """The reference catalogue."""
    error = np.asarray(references["ra_err"], float) / 3.6e6
    mag = 31.4 - 2.5 * np.log10(np.asarray(references[f"flux_{flux}"], float))
    mag_err = 1.0857 * np.asarray(references[f"flux_{flux}_err"], float) / np.asarray(references[f"flux_{flux}"], float)
    names, kinds = ("X_WORLD", "Y_WORLD", "ERRA_WORLD", "ERRB_WORLD", "MAG", "MAGERR"), ("1D", "1D", *["1E"] * 4)
    units = ("deg", "deg", "deg", "deg", "mag", "mag")
    arrays = (np.asarray(references["ra"]), np.asarray(references["dec"]), error, error, mag, mag_err)
    columns = [
        fits.Column(name, kind, unit, array=array)
        for name, kind, unit, array in zip(names, kinds, units, arrays, strict=True)
    ]
    card = fits.Column("Field Header Card", "80A", array=np.array(["END".ljust(80)]))
    hdus = [
        fits.PrimaryHDU(),
        named_table([card], "LDAC_IMHEAD"),
        named_table(columns, "LDAC_OBJECTS"),
    ]
    fits.HDUList(hdus).writeto(path, overwrite=True)


def read_heads(path: Path) -> list[fits.Header]:
    """The headers in a file of SCAMP's."""
    # Its comments hold letters that a FITS header must not have.
    lines = [line for line in path.read_bytes().splitlines() if not line.startswith((b"COMMENT", b"HISTORY"))]
    parts = [part.strip("\n") for part in (b"\n".join(lines) + b"\n").decode("ascii").split("END     \n")]
    headers = [fits.Header.fromstring(part, sep="\n") for part in parts if part]
    for header in headers:
        if any(name.startswith("PV") for name in header):
            # SCAMP writes the polynomials of TPV under the name of the plain projection.
            header["CTYPE1"], header["CTYPE2"] = "RA---TPV", "DEC--TPV"
    return headers
