"""Background matching: the visits of a tract brought to the sky of one of them."""

from .cell_sums import CellSums, Planes, Superpixels
from .curves import offset_field, possible_style, sample_surface
from .figures import FIGURES, figures_table, visit_figures
from .grid import SuperpixelGrid
from .joint import solve_jointly
from .match import VisitOffset, match_visits
from .measure import measure_differences, measure_from_mean, measure_visits
from .reference import VisitQuality, choose_reference, judge_visit, judge_visits
from .settings import BinStatistic, MatchSettings, ReferenceWeights, TractModelSettings
from .surface import fill_unmeasured
from .warps import PatchWarp, by_visit, counted_box

__all__ = [
    "FIGURES",
    "BinStatistic",
    "CellSums",
    "MatchSettings",
    "PatchWarp",
    "Planes",
    "ReferenceWeights",
    "SuperpixelGrid",
    "Superpixels",
    "TractModelSettings",
    "VisitOffset",
    "VisitQuality",
    "by_visit",
    "choose_reference",
    "counted_box",
    "figures_table",
    "fill_unmeasured",
    "judge_visit",
    "judge_visits",
    "match_visits",
    "measure_differences",
    "measure_from_mean",
    "measure_visits",
    "offset_field",
    "possible_style",
    "sample_surface",
    "solve_jointly",
    "visit_figures",
]
