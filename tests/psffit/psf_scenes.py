"""Frames for the accuracy of the PSF: many seeings, steep gradients, neighbours, galaxies of nearly stellar size."""

from __future__ import annotations

from dataclasses import dataclass, field

import astropy.units as u
import galsim
import numpy as np
from star_field import Profile, StarField, measure

from skyloom.images.exposure import Exposure
from skyloom.kernels.psf_fit import stamp_shapes
from skyloom.psf import PixelGridPsf


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What a frame holds."""

    fwhm: float = 4.0
    """Of the light before the pixels, px."""
    kolmogorov: bool = False
    gradient: float = 0.0
    """Change of the FWHM from the lower left to the upper right, as a fraction of it."""
    ellipticity: float = 0.0
    """Distortion (a^2 - b^2) / (a^2 + b^2) at the upper right; 0 at the lower left."""
    n_stars: int = 100
    neighbour_fraction: float = 0.0
    """Of the stars, how many have a fainter star beside them."""
    n_galaxies: int = 0
    """Extended by a twentieth to a half of the PSF."""
    extent: int = 800
    sky: float = 300.0
    signal_to_noise: tuple[float, float] = (80.0, 1500.0)
    """Range of the stars, drawn with the counts of stars on the sky: ten times as many at a third of the flux."""
    seed: int = 1

    def profile(self) -> Profile:
        """The true PSF at a position."""

        def at(x: float, y: float) -> galsim.GSObject:
            along = (x + y) / (2 * self.extent)
            fwhm = self.fwhm * (1 + self.gradient * (along - 0.5))
            light = galsim.Kolmogorov(fwhm=fwhm) if self.kolmogorov else galsim.Moffat(beta=3.5, fwhm=fwhm)
            angle = np.pi * x / self.extent if self.ellipticity else 0.0
            size = self.ellipticity * along
            return light.shear(e1=size * np.cos(angle), e2=size * np.sin(angle))

        return at


@dataclass
class Draw:
    """A drawn scene."""

    field: StarField
    star: np.ndarray
    """``bool[row]``: a star, not a galaxy nor a neighbour."""
    galaxy: np.ndarray
    measured: dict[str, float] = field(default_factory=dict)


def draw(scene: Scene) -> Draw:
    """Draw a scene, and measure all that is in it at its true places."""
    rng = np.random.default_rng(scene.seed)
    profile, extent = scene.profile(), scene.extent
    image = galsim.ImageD(extent, extent, xmin=0, ymin=0)
    margin = 0.5 * _stamp(scene) + 3
    n_neighbours = int(scene.neighbour_fraction * scene.n_stars)
    x, y = rng.uniform(margin, extent - margin, (2, scene.n_stars + scene.n_galaxies))
    flux = _fluxes(scene, rng, x.size)
    angle, distance = rng.uniform(0, 2 * np.pi, n_neighbours), rng.uniform(2.0, 5.0, n_neighbours) * scene.fwhm
    near_x, near_y = x[:n_neighbours] + distance * np.cos(angle), y[:n_neighbours] + distance * np.sin(angle)
    near = flux[:n_neighbours] * 10 ** rng.uniform(-2.5, -0.3, n_neighbours)
    x, y, flux = np.r_[x, near_x], np.r_[y, near_y], np.r_[flux, near]
    kind = np.repeat([0, 1, 2], [scene.n_stars, scene.n_galaxies, n_neighbours])
    for at_x, at_y, light, is_galaxy in zip(x, y, flux, kind == 1, strict=True):
        source = profile(at_x, at_y)
        if is_galaxy:
            radius = scene.fwhm * rng.uniform(0.15, 0.6)
            shape = galsim.Exponential(half_light_radius=radius).shear(e1=rng.uniform(-0.3, 0.3), e2=0.1)
            source = galsim.Convolve(source, shape)
        _add(image, source * light, at_x, at_y, _stamp(scene))
    truth = image.array + scene.sky
    pixels = rng.poisson(truth) + rng.normal(0, 5.0, truth.shape)
    exposure = Exposure.from_arrays(
        (pixels - scene.sky).astype(np.float32), variance=np.maximum(pixels, 1.0) + 25.0, unit=u.electron
    )
    inside = (x > 2) & (y > 2) & (x < extent - 3) & (y < extent - 3)
    x, y, flux, kind = x[inside], y[inside], flux[inside], kind[inside]
    table = measure(exposure, x, y, max(0.42 * scene.fwhm, 0.8))
    return Draw(StarField(exposure, table, flux, x, y, profile), kind == 0, kind == 1)


def _stamp(scene: Scene) -> int:
    """Pixels that hold a star."""
    return int(2 * np.ceil(7 * scene.fwhm) + 1)


def _fluxes(scene: Scene, rng: np.random.Generator, n: int) -> np.ndarray:
    """Fluxes whose numbers fall with their 0.7th power."""
    low, high = (ratio * np.sqrt(scene.sky + 25.0) * 1.6 * max(scene.fwhm, 2.0) for ratio in scene.signal_to_noise)
    high *= max(1.0, scene.signal_to_noise[1] / 300)
    a, b = low**-0.7, high**-0.7
    return np.asarray((a + (b - a) * rng.uniform(size=n)) ** (-1 / 0.7))


def _add(image: galsim.Image, source: galsim.GSObject, x: float, y: float, size: int) -> None:
    stamp = source.drawImage(nx=size, ny=size, scale=1.0, center=galsim.PositionD(x, y), dtype=float)
    bounds = stamp.bounds & image.bounds
    if bounds.isDefined():
        image[bounds] += stamp[bounds]


def true_errors(psf: PixelGridPsf, scene: Scene, x: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    """Relative error of T = Ixx + Iyy, errors of e1 and e2, and of the peak, of a PSF at positions of stars."""
    profile = scene.profile()
    stamps, x0, y0 = psf.stamps(x, y)
    size = stamps.shape[1]
    truth = np.empty_like(stamps)
    for i in range(x.size):
        drawn = profile(x[i], y[i]).drawImage(
            nx=size, ny=size, scale=1.0, offset=(x[i] - x0[i] - size // 2, y[i] - y0[i] - size // 2), dtype=float
        )
        truth[i] = drawn.array / drawn.array.sum()
    width = max(0.42 * scene.fwhm, 0.8)
    ours, true = (stamp_shapes(part, x - x0, y - y0, width) for part in (stamps, truth))
    (t, e1, e2), (true_t, true_e1, true_e2) = _size_and_shape(ours), _size_and_shape(true)
    peak = (stamps.max(axis=(1, 2)) - truth.max(axis=(1, 2))) / truth.max(axis=(1, 2))
    worst = np.abs(stamps - truth).max(axis=(1, 2)) / truth.max(axis=(1, 2))
    return {"size": t / true_t - 1, "e1": e1 - true_e1, "e2": e2 - true_e2, "peak": peak, "worst": worst}


def _size_and_shape(moments: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    xx, yy, xy = moments.T
    return xx + yy, (xx - yy) / (xx + yy), 2 * xy / (xx + yy)
