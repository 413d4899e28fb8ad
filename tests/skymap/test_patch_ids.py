"""Packed ids of patches."""

from __future__ import annotations

import pytest

from skyloom.skymap import BANDS, PatchIds
from skymap.whole_sky import coarse

FEW = {"n_tracts": 5, "n_patches": 9}


def test_published_ids() -> None:
    ids = PatchIds(**FEW)
    assert ids.pack(2, 6) == 24
    assert ids.max_bits == 6
    assert ids.unpack(24) == (2, 6, None)
    banded = PatchIds(**FEW, n_bands=None)
    assert BANDS["g"] == 2
    assert banded.pack(2, 6, "g") == 24 + 2 * 45 == 114
    assert banded.unpack(114) == (2, 6, "g")
    assert banded.pack(2, 6) == 24
    assert banded.max_bits == (45 * 28 - 1).bit_length()


@pytest.mark.parametrize("n_bands", [0, 3, None])
def test_ids_are_dense_and_survive_both_ways(n_bands: int | None) -> None:
    ids = PatchIds(**FEW, n_bands=n_bands)
    count = len(BANDS) if n_bands is None else n_bands
    bands = list(BANDS)[:count] or [None]
    packed = [ids.pack(tract, patch, band) for band in bands for tract in range(5) for patch in range(9)]
    assert packed == list(range(45 * len(bands)))
    assert packed[-1].bit_length() == ids.max_bits
    assert [ids.pack(*ids.unpack(number)) for number in packed] == packed


def test_bands_are_found_by_their_numbers_not_their_order() -> None:
    ids = PatchIds(**FEW, n_bands=None, bands={"r": 1, "g": 0})
    assert ids.unpack(ids.pack(1, 1, "r")) == (1, 1, "r")
    assert ids.pack(1, 1, "g") == 10
    one = PatchIds(**FEW, n_bands=1, bands={"r": 0})
    assert (one.pack(2, 6, "r"), one.max_bits, one.unpack(24)) == (24, 6, (2, 6, "r"))


def test_room_for_a_sky_map() -> None:
    ids = PatchIds.of(coarse(patch_size=60000))
    nx, ny = coarse(patch_size=60000).n_patches_max
    assert (ids.n_tracts, ids.n_patches) == (26, nx * ny)


@pytest.mark.parametrize(
    ("n_bands", "tract", "patch", "band", "message"),
    [
        (0, 5, 0, None, "5 numbers of a tract"),
        (0, 0, 9, None, "9 numbers of a patch"),
        (0, -1, 0, None, "tract"),
        (0, 0, 0, "g", "hold no band"),
        (None, 0, 0, "q", "Band 'q'"),
        (2, 0, 0, "g", "Band 'g'"),
    ],
)
def test_what_does_not_fit_is_refused(n_bands: int | None, tract: int, patch: int, band: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PatchIds(**FEW, n_bands=n_bands).pack(tract, patch, band)


def test_numbers_beyond_the_ids_are_refused() -> None:
    for number in (-1, 45):
        with pytest.raises(ValueError, match="not the id of a patch"):
            PatchIds(**FEW).unpack(number)
