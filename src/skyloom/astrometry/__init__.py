"""Pattern matching and WCS fitting."""

from .blind import ReferenceCircle, solve_blind
from .settings import AstrometrySettings, BlindSettings
from .solution import AstrometricSolution
from .solve import solve_astrometry
from .tan_sip import TanSip, fit_tan_sip
from .tangent import LocalPlane, from_tangent_plane, to_tangent_plane
from .verdict import Verdict

__all__ = [
    "AstrometricSolution",
    "AstrometrySettings",
    "BlindSettings",
    "LocalPlane",
    "ReferenceCircle",
    "TanSip",
    "Verdict",
    "fit_tan_sip",
    "from_tangent_plane",
    "solve_astrometry",
    "solve_blind",
    "to_tangent_plane",
]
