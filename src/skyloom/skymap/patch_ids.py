"""`PatchIds`: tract, patch and band packed into one integer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from .base import SkyMap

__all__ = ["BANDS", "PatchIds"]

BANDS: Mapping[str | None, int] = {
    band: number
    for number, band in enumerate(
        [None, *"ugrizyUBGVRIZYJHK", "N387", "N515", "N656", "N816", "N921", "N1010", "N419", "N540", "N708", "N964"]
    )
}
"""Numbers of the bands, of which new ones go to the end; None stands for no band."""


@dataclass(frozen=True, kw_only=True)
class PatchIds:
    """Integers for the patches of a sky map: ``patch + n_patches * (tract + n_tracts * band)``.

    They are those that the Rubin pipelines give to the same sky map.
    """

    n_tracts: int
    n_patches: int
    """Patches of a tract at most."""
    n_bands: int | None = 0
    """Bands that the ids leave room for: with 0 an id holds no band, with None there is room for all of ``bands``."""
    bands: Mapping[str | None, int] = field(default_factory=lambda: BANDS)

    @classmethod
    def of(cls, sky_map: SkyMap, *, n_bands: int | None = 0) -> Self:
        """The ids of a sky map's patches."""
        nx, ny = sky_map.n_patches_max
        return cls(n_tracts=len(sky_map), n_patches=nx * ny, n_bands=n_bands)

    @property
    def _band_count(self) -> int:
        return len(self.bands) if self.n_bands is None else self.n_bands

    @property
    def max_bits(self) -> int:
        """Bits of the largest id."""
        return (self.n_tracts * self.n_patches * (self._band_count or 1) - 1).bit_length()

    def pack(self, tract: int, patch: int, band: str | None = None) -> int:
        """The id of a patch, or of a patch in a band.

        Raises
        ------
        ValueError
            If a number or the band is beyond what the ids have room for.
        """
        for name, number, count in (("tract", tract, self.n_tracts), ("patch", patch, self.n_patches)):
            if not 0 <= number < count:
                raise ValueError(f"There is room for {count} numbers of a {name}; {number} is not one of them.")
        return patch + self.n_patches * (tract + self.n_tracts * self._band_number(band))

    def _band_number(self, band: str | None) -> int:
        if self._band_count == 0:
            if band is not None:
                raise ValueError(f"These ids hold no band, but {band!r} was given.")
            return 0
        number = self.bands.get(band)
        if number is None or not 0 <= number < self._band_count:
            known = [str(name) for name, value in self.bands.items() if value < self._band_count]
            raise ValueError(f"Band {band!r} is none of {', '.join(known)}.")
        return number

    def unpack(self, packed: int) -> tuple[int, int, str | None]:
        """Tract, patch and band of an id; the band is None where the ids hold none.

        Raises
        ------
        ValueError
            If there is no such id.
        """
        rest, patch = divmod(packed, self.n_patches)
        number, tract = divmod(rest, self.n_tracts)
        names = {value: name for name, value in self.bands.items() if value < (self._band_count or 1)}
        if packed < 0 or number not in (names if self._band_count else (0,)):
            raise ValueError(f"{packed} is not the id of a patch.")
        return tract, patch, names[number] if self._band_count else None
