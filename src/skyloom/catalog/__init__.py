"""Table schemas, ids, matching, and reference-catalogue shards."""

from .htm import circle_shards, shard_ids
from .ids import IdGenerator
from .matching import match_pixels, match_sky, separation_arcsec
from .refcat import ShardedCatalogue, filter_flux, filter_names, propagate, reference_table, select_circle
from .sources import make_source_table, source_columns

__all__ = [
    "IdGenerator",
    "ShardedCatalogue",
    "circle_shards",
    "filter_flux",
    "filter_names",
    "make_source_table",
    "match_pixels",
    "match_sky",
    "propagate",
    "reference_table",
    "select_circle",
    "separation_arcsec",
    "shard_ids",
    "source_columns",
]
