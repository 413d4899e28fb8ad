"""Frames drawn at random from a wide range of cameras, fields and errors of the guess."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from lsst.images import Box
from simulated_field import Field, camera, error_arcsec, projection, simulate

from skyloom.astrometry import LocalPlane, from_tangent_plane, solve_astrometry, solve_blind, to_tangent_plane
from skyloom.errors import AstrometryError, FrameError, NoReferenceError


@dataclass
class Drawn:
    """A frame, what is thought of it, and how it came to be."""

    field: Field
    guess: object
    """`TanSip` of the first guess."""
    parameters: dict
    near: bool
    """Whether the guess is within the errors that the first stage allows for."""

    @property
    def kind(self):
        """What is wrong with the guess besides its pointing and scale."""
        turned, flip = abs(self.parameters["turned_deg"]) > 1.0, self.parameters["flip"]
        return "near" if self.near else " and ".join(["turned"] * turned + ["mirrored"] * bool(flip)) or "shifted"

    @property
    def solvable(self):
        """Whether the frame shows enough stars of the catalogue to be told from chance anywhere within a degree."""
        return self.field.n_common >= 10


def draw(seed, *, wrong=False, max_references=100_000):
    """A frame of 8 to 500 reference stars, its pointing off by up to half a degree.

    Two in five guesses are near (30 arcsec, 1 %, 1 degree); of the others a third is turned by any angle, a third
    mirrored, a third both turned and mirrored.  ``wrong`` draws the catalogue from another part of the sky.  The
    catalogue reaches a degree around the guess, or as far as ``max_references`` do, yet over the frame.
    """
    rng = np.random.default_rng([seed, int(wrong)])
    box = Box.factory[0 : int(rng.integers(500, 2500)), 0 : int(rng.integers(500, 2500))]
    size_deg = 10 ** rng.uniform(-1.3, -0.2)
    scale = 3600.0 * size_deg / max(box.x.size, box.y.size)
    parameters = {
        "n_stars": int(10 ** rng.uniform(np.log10(8), np.log10(500))),
        "contamination": rng.uniform(0.0, 0.5),
        "completeness": rng.uniform(0.6, 1.0),
        "depth": 10 ** rng.uniform(0.0, 0.5),
        "noise_px": 10 ** rng.uniform(-1.7, -0.5),
        "mag_scatter": 10 ** rng.uniform(-1.5, -0.5),
        "blend_px": rng.uniform(0.0, 5.0),
    }
    near = rng.random() < 0.4
    kind = rng.integers(3)
    shift = rng.uniform(0.0, 28.0 / 3600.0) if near else 0.5 * np.sqrt(rng.random())
    off_scale = (0.01 if near else 0.03) * rng.uniform(-1.0, 1.0)
    turned = rng.uniform(-1.0, 1.0) if near else (rng.uniform(-180.0, 180.0) if kind != 1 else 0.0)
    flip = not near and kind != 0
    ra, dec = rng.uniform(0.0, 360.0), np.degrees(np.arcsin(rng.uniform(-1.0, 1.0)))
    rotation, mirrored, angle = rng.uniform(0.0, 360.0), rng.random() < 0.3, rng.uniform(0.0, 2.0 * np.pi)
    guess = camera(ra, dec, scale, box=box, rotation=rotation, mirrored=mirrored)
    true_ra, true_dec = from_tangent_plane(shift * np.cos(angle), shift * np.sin(angle), ra, dec)
    truth = camera(
        float(true_ra),
        float(true_dec),
        scale * (1.0 + off_scale),
        box=box,
        rotation=rotation + turned + north_turns(guess, float(true_ra), float(true_dec)),
        mirrored=mirrored != flip,
        distortion_px=rng.uniform(0.0, 3.0),
    )
    density = parameters["n_stars"] * parameters["depth"] * 3600.0**2 / (box.x.size * box.y.size * scale**2)
    reach = min(1.0 + shift, max(shift + 0.1, 0.5 * np.sqrt(max_references / density) - size_deg))
    field = simulate(rng, truth, box, reach_deg=reach, wrong=wrong, **parameters)
    return Drawn(
        field, guess, parameters | {"size_deg": size_deg, "shift_deg": shift, "flip": flip, "turned_deg": turned}, near
    )


def north_turns(guess, ra, dec):
    """How far north turns between the guessed centre and another, degree: much, near the poles."""
    local = LocalPlane(*guess.crval, guess.cd)
    moved = local.moved(*(float(value) for value in local.from_sky(ra, dec))).cd @ np.linalg.inv(guess.cd)
    return float(np.degrees(np.arctan2(moved[1, 0], moved[0, 0])))


def circle(field):
    """What loads the references of a circle, as a catalogue does."""

    def load(ra, dec, radius):
        xi, eta = to_tangent_plane(field.reference["ra"], field.reference["dec"], ra, dec)
        return field.reference[np.hypot(xi, eta) <= radius]

    return load


def solve_in_two_stages(drawn, *, refusals=None, **settings):
    """The solution near the guess, else that of a blind search; None where both are refused.

    The errors of the stages that refused are added to the list ``refusals``.

    Returns
    -------
    solution, stage
        The stage is 1 or 2.
    """
    field = drawn.field
    stars = (field.x, field.y, field.flux)
    refused = [] if refusals is None else refusals
    guess = projection(drawn.guess, field.box)
    radius = 0.55 * drawn.parameters["size_deg"] * np.sqrt(2.0) + 0.02
    try:
        near = circle(field)(*drawn.guess.crval, radius)
        return solve_astrometry(*stars, near, guess, box=field.box, **settings), 1
    except (AstrometryError, NoReferenceError) as error:
        refused.append(error)
    try:
        return solve_blind(*stars, circle(field), guess, box=field.box, **settings), 2
    except FrameError as error:
        refused.append(error)
        return None, 2


def wrong_by_px(drawn, solution):
    """Largest error of a solution over its frame, pixel."""
    scale = 3600.0 * np.sqrt(abs(np.linalg.det(drawn.field.truth.cd)))
    return error_arcsec(solution.projection, drawn.field.truth, drawn.field.box)[1] / scale
