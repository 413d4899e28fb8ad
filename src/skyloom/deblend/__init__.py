"""Deblending: which light of a footprint belongs to which of its peaks."""

from .deblend import Deblended, deblend_sources
from .settings import DeblendSettings

__all__ = ["DeblendSettings", "Deblended", "deblend_sources"]
