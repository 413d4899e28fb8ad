"""The page of a patch: a section for each band."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure

from skyloom.files import write_beside

from .page import PageFigure
from .patch_depth import PatchMaps, patch_maps
from .patch_inputs_table import VisitRecord, visit_records
from .patch_map_figures import clipped_figure, depth_figure, plane_figure, psf_figure
from .patch_measured import measured_band, percentiles, plane_shares, visit_remarks
from .patch_noise import Noise, noise_of
from .patch_noise_figures import noise_figure
from .patch_picture import Picture, colour_bands, picture_of
from .patch_picture_figures import colour_figure, grey_figure
from .patch_products import BandProducts
from .patch_psf_map import PsfMap, psf_map
from .patch_tables import clipped_table, figure_table, input_table, odd_visit_table, plane_table, spread_table
from .patch_usual import PATCH_USUAL
from .png import png_of
from .visit_page import Section, VisitPage
from .visit_tables import verdict_table
from .visit_usual import judge

__all__ = [
    "PATCH_CAPTIONS",
    "BandView",
    "band_figures",
    "band_section",
    "colour_page_figure",
    "view_of_band",
    "what_is_missing",
    "write_patch_page",
]

PATCH_CAPTIONS = {
    "colour": "Three bands in colours on one asinh scale (Lupton et al. 2004, PASP 116, 133): what has the same flux "
    "in nJy in all three is grey or white; colours hold at any brightness. Light grey: no data in one of the bands.",
    "grey": "The coadd on an asinh scale from below the sky up, the same for all brightnesses. Light grey: no data.",
    "depth": "Left, AB magnitude of a point source at 5 sigma: m = 31.4 - 2.5 log₁₀(5 √(V A)), with V the variance "
    "plane (nJy²) and A = 1 / ∑P² the effective area of the PSF there (px). Neighbouring pixels count as independent; "
    "the scatter of PSF fluxes of empty sky, below, says what correlation costs. Soft bands of some hundredths of a "
    "magnitude are the resampling: where it averages pixels, their variance is less and their correlation more. Right, "
    "the number of warps in each pixel (mean of the pixels of a block).",
    "psf": "The PSF of the coadd at the middles of squares: whiskers along its major axis, as long as its ellipticity "
    "(a - b over a + b of the squared axes), and the FWHM of the Gaussian with its moments. Steps are borders of "
    "frames.",
    "noise": "Left, sky pixels over the root of their variance, beside the unit Gaussian: the scatter is 1 where the "
    "variance plane follows the resampling, and below 1 where it does not know that resampling averages noise and "
    "makes neighbours alike; what is beyond the limits stands in the last bins. Middle, how neighbours correlate. "
    "Right, PSF fluxes of places without a source over their errors by the variance plane: above 1 is what "
    "correlation, a sky that is not flat, and faint sources add.",
    "planes": "Where the assembly marked pixels: at least one input clipped, left out because of its mask, the edge of "
    "a sensor; and where for any such reason the inputs differ from those of the PSF's model. A block of pixels is "
    "coloured when any of it is marked.",
    "clipped": "What was masked as an artifact in single visits, the visits with most in colours of their own.",
}
"""Of the figures, in the order of the page; the first is of all bands."""


@dataclass(frozen=True, kw_only=True, eq=False)
class BandView:
    """What tables and figures of a band are made from; all but the products is None or empty without a coadd."""

    products: BandProducts
    picture: Picture | None
    psf: PsfMap | None
    maps: PatchMaps | None
    noise: Noise | None
    visits: list[VisitRecord]
    values: dict[str, float]
    """As `skyloom.report.patch_measured.measured_band` gives them."""

    @property
    def remarks(self) -> list[str]:
        """What is missing, and what is out of the usual, in words."""
        verdicts = judge(self.values, PATCH_USUAL)
        return what_is_missing(self) + [one.sentence for one in verdicts if one.remark]

    @property
    def odd_visits(self) -> list[int]:
        """Visits of which anything is out of the usual."""
        return [one.visit for one in self.visits if visit_remarks(one, self.visits)]


def view_of_band(products: BandProducts, detail_origin: tuple[int, int] | None = None) -> BandView:
    """Work out everything that the page says of a band.

    Parameters
    ----------
    products
        Of the band.
    detail_origin
        First pixel (x, y) of the part that is shown pixel by pixel; where the most warps are when None.
    """
    if products.coadd is None:
        return BandView(products=products, picture=None, psf=None, maps=None, noise=None, visits=[], values={})
    psf = psf_map(products)
    maps, noise, visits = patch_maps(products, psf), noise_of(products, psf), visit_records(products)
    return BandView(
        products=products,
        picture=picture_of(products, detail_origin),
        psf=psf,
        maps=maps,
        noise=noise,
        visits=visits,
        values=measured_band(products, psf, maps, noise, visits),
    )


def what_is_missing(view: BandView) -> list[str]:
    """Products that are not there, in sentences."""
    products = view.products
    said = list(products.missing)
    if products.coadd is None:
        return said
    if view.psf is None:
        said.append("The coadd has no PSF: neither depth nor PSF can be shown.")
    if products.n_image is None:
        said.append("The number of warps in each pixel was not written.")
    if products.coadd.inputs is None:
        said.append("The coadd has no table of its inputs.")
    if view.noise is None:
        said.append("There is no sky in the coadd: its noise cannot be checked.")
    if not products.clipped and "clipped_pixels" not in products.metadata:
        said.append(
            "What was clipped in single visits is not known: no masks of artifacts were written "
            "(doWriteArtifactMasks of the assembly), or the coadd was clipped pixel by pixel."
        )
    left_out = sorted((products.warped or frozenset()) - set(products.visits)) if products.visits else []
    if left_out:
        said.append(f"Visits with a warp that are not in the coadd: {', '.join(str(visit) for visit in left_out)}.")
    return said


def band_figures(view: BandView) -> Iterator[tuple[str, Figure]]:
    """The figures that the products allow, with the names of `PATCH_CAPTIONS`, in their order."""
    if view.picture is None or view.maps is None:
        return
    drawn = {
        "grey": grey_figure(view.picture),
        "depth": depth_figure(view.products, view.maps),
        "psf": None if view.psf is None else psf_figure(view.products, view.psf),
        "noise": None if view.noise is None else noise_figure(view.noise),
        "planes": plane_figure(view.products),
        "clipped": clipped_figure(view.products, view.visits),
    }
    for name, figure in drawn.items():
        if figure is not None:
            yield name, figure


def band_section(view: BandView) -> Section:
    """The section of one band, its figures drawn."""
    products = view.products
    verdicts = judge(view.values, PATCH_USUAL)
    there = products.coadd is not None
    tables = [
        verdict_table(verdicts) if verdicts else None,
        spread_table(percentiles(products, view.psf, view.maps)) if view.maps is not None else None,
        input_table(view.visits),
        odd_visit_table(view.visits),
        clipped_table(view.visits, products.scale_arcsec),
    ]
    details = [plane_table(plane_shares(products)) if there else None, figure_table(products)]
    return Section(
        title=products.name,
        anchor=anchor_of(products.band),
        failure=products.failure,
        remarks=view.remarks,
        tables=[table for table in tables if table is not None],
        figures=[_page_figure(name, figure) for name, figure in band_figures(view)],
        details=[table for table in details if table is not None],
        log=list(products.log),
    )


def colour_page_figure(pictures: Mapping[str, Picture]) -> PageFigure | None:
    """The patch in colours, from pictures by band; None without three bands."""
    chosen = colour_bands(pictures)
    return None if chosen is None else _page_figure("colour", colour_figure(*(pictures[band] for band in chosen)))


def anchor_of(band: str) -> str:
    """What links to a band's section lead to."""
    return "band-" + "".join(letter if letter.isalnum() else "-" for letter in band)


def write_patch_page(page: VisitPage, path: Path) -> Path:
    """Render a page and put it in place in one step."""
    environment = Environment(
        loader=PackageLoader("skyloom.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    text = environment.get_template("patch.html.j2").render(page=page)
    return write_beside(path, lambda part: part.write_text(text, encoding="utf-8"))


def _page_figure(name: str, figure: Figure) -> PageFigure:
    return PageFigure(caption=PATCH_CAPTIONS[name], png=base64.b64encode(png_of(figure)).decode("ascii"))
