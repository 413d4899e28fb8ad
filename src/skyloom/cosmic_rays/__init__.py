"""Cosmic rays: found by their sharp edges, and repaired."""

from .find import CosmicRays, find_cosmic_rays
from .repair import repair_cosmic_rays
from .settings import CosmicRaySettings
from .sharpness import rough_psf_sigma

__all__ = ["CosmicRaySettings", "CosmicRays", "find_cosmic_rays", "repair_cosmic_rays", "rough_psf_sigma"]
