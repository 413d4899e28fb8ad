"""All figures of a calibrated frame, by name: for a page, and for a notebook that has no repository."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from matplotlib.figure import Figure

from .visit_astrometry import astrometry_figure, astrometry_residual_figure
from .visit_growth import growth_figure
from .visit_products import FrameProducts
from .visit_psf import psf_field_figure, psf_residual_figure, psf_stamp_figure
from .visit_sky import sky_figure
from .visit_sources import image_figure, source_figure
from .visit_zero_point import zero_point_figure, zero_point_map

__all__ = ["FIGURES", "FigureKind", "frame_figures"]


@dataclass(frozen=True, kw_only=True)
class FigureKind:
    """One kind of figure."""

    draw: Callable[[FrameProducts], Figure | None]
    """Returns None where the products do not allow it."""
    caption: str


FIGURES: dict[str, FigureKind] = {
    "sky": FigureKind(
        draw=sky_figure,
        caption="Left: the sky that was subtracted, with lines of equal level. Right: means of what is left where no "
        "source was detected; grey blocks are covered by sources or masks. Structure on the right that the noise "
        "cannot make wants a finer mesh or a better flat.",
    ),
    "image": FigureKind(
        draw=image_figure,
        caption="The frame in an asinh stretch, and the same with its mask planes, painted in the order of the list: "
        "later ones hide earlier ones. A pixel of the picture stands for a block and has the colour where any pixel "
        "of the block is marked; footprints (DETECTED) where half of the block is.",
    ),
    "sources": FigureKind(
        draw=source_figure,
        caption="All sources of the table. Stars and extended sources are told by their width beside that of the PSF, "
        "or by extendedness where it was measured; faint ones (S/N below 10) are neither. Blended: not alone in the "
        "footprint. Flagged: edge, bad or interpolated pixels, cosmic rays, or a failed centroid or flux.",
    ),
    "psf_field": FigureKind(
        draw=psf_field_figure,
        caption="Left: ellipticity of the PSF, lines along the major axes. Middle: ellipticity of its stars minus that "
        "of the PSF at their places; lines should point anywhere. Right: FWHM (2.35 times the determinant radius of "
        "the adaptive moments) of the PSF, with the stars as dots in the same colours.",
    ),
    "psf_residuals": FigureKind(
        draw=psf_residual_figure,
        caption="Size and ellipticity of stars beside the PSF, both measured in the same way. Triangles at the edge "
        "stand for stars beyond it. A slope with magnitude in the sizes means brighter-fatter or a wrong sky.",
    ),
    "psf_stamps": FigureKind(
        draw=psf_stamp_figure,
        caption="Median over the stars of their pixels, of the PSF at their places, and of the difference, for stars "
        "that were fitted and for those kept to test the fit.",
    ),
    "astrometry": FigureKind(
        draw=astrometry_figure,
        caption="Residuals of the matched reference stars along the axes of the detector; vermilion: matches that the "
        "fit left out, cut to twice the key. Arrows that agree with their neighbours mean distortion that was not "
        "fitted.",
    ),
    "astrometry_residuals": FigureKind(
        draw=astrometry_residual_figure,
        caption="Distribution of the fitted residuals along both axes with the Gaussian of the same rms, and all "
        "residuals against magnitude; triangles at the edge stand for stars beyond it.",
    ),
    "zero_point": FigureKind(
        draw=zero_point_figure,
        caption="Calibrated minus reference magnitude of the matched stars; the grey band is the error of the zero "
        "point. Triangles at the edge stand for stars beyond it. A slope means a sky that is off, a wrong linearity or "
        "saturation.",
    ),
    "zero_point_map": FigureKind(
        draw=zero_point_map,
        caption="The same over the frame, and medians along both axes: a pattern means the flat, scattered light or "
        "clouds.",
    ),
    "growth": FigureKind(
        draw=growth_figure,
        caption="Light of the PSF stars within the apertures of the table, neighbours included, in units of their PSF "
        "fluxes as corrected. The line is the PSF, as far as its grid goes, over what its fluxes were corrected by; "
        "fluxes are corrected to the reference aperture and what light is known to be outside of it.",
    ),
}
"""In the order of a page."""


def frame_figures(products: FrameProducts) -> Iterator[tuple[str, Figure]]:
    """The figures that the products allow, by name, one at a time.

    In a notebook: ``dict(frame_figures(FrameProducts(exposure=exposure, sources=table)))``, or
    ``FrameProducts.of(frame)`` for what `skyloom.calibrate.calibrate_frame` returned.
    """
    for name, kind in FIGURES.items():
        figure = kind.draw(products)
        if figure is not None:
            yield name, figure
