"""Pattern matching and WCS fitting."""

from .settings import AstrometrySettings
from .solve import AstrometricSolution, solve_astrometry
from .tan_sip import TanSip, fit_tan_sip
from .tangent import LocalPlane, from_tangent_plane, to_tangent_plane
from .verdict import Verdict

__all__ = [
    "AstrometricSolution",
    "AstrometrySettings",
    "LocalPlane",
    "TanSip",
    "Verdict",
    "fit_tan_sip",
    "from_tangent_plane",
    "solve_astrometry",
    "to_tangent_plane",
]
