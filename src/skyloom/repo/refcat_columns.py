"""Which column of a catalogue file holds what: stated by the user, or guessed from well-known names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from skyloom.catalog.magnitudes import FLUX_UNITS
from skyloom.errors import RefcatError

__all__ = ["RefcatColumns"]

_POSITIONS: dict[str, tuple[str, ...]] = {
    "ra": (
        "ra", "ra_deg_j2000", "ra_icrs", "raj2000", "ra_j2000", "ra_deg", "radeg", "ramean", "_raj2000", "alpha_j2000",
    ),
    "dec": (
        "dec", "dec_deg_j2000", "de_icrs", "dec_icrs", "dej2000", "decj2000", "dec_j2000", "dec_deg", "dedeg",
        "decdeg", "decmean", "_dej2000", "delta_j2000", "decl",
    ),
    "id": ("source_id", "objid", "id", "sdssid", "designation", "source", "recno"),
    "epoch": ("ref_epoch", "epoch", "epochmean"),
    "pm_ra": ("pm_ra", "pmra"),
    "pm_dec": ("pm_dec", "pmdec", "pmde"),
    "pm_ra_err": ("pm_ra_err", "pm_ra_error", "pmra_error", "e_pmra"),
    "pm_dec_err": ("pm_dec_err", "pm_dec_error", "pmdec_error", "e_pmdec", "e_pmde"),
    "parallax": ("parallax", "plx"),
    "ra_err": ("ra_error", "ra_err", "e_ra_icrs"),
    "dec_err": ("dec_error", "dec_err", "e_de_icrs"),
}  # fmt: skip
"""Names, in lower case, that mean a quantity; Gaia, VizieR, Pan-STARRS, SDSS, and plain ones."""

_MAGNITUDES: dict[str, tuple[str, ...]] = {
    "G": ("phot_g_mean_mag", "Gmag"),
    "BP": ("phot_bp_mean_mag", "BPmag"),
    "RP": ("phot_rp_mean_mag", "RPmag"),
    "VT": ("MAG_VT", "VTmag", "VT"),
    "BT": ("MAG_BT", "BTmag", "BT"),
    "J": ("j_m", "Jmag"),
    "H": ("h_m", "Hmag"),
    "Ks": ("k_m", "Kmag", "Ksmag"),
    **{band: (band, f"{band}Mag") for band in "UBVRI"},
    **{band: (band, f"{band}mag", f"{band}MeanPSFMag", f"psfMag_{band}", f"mag_{band}") for band in "ugrizy"},
}
_ERROR_PATTERNS = ("{}_err", "{}_error", "e_{}", "{}Err", "err_{}", "sig{}", "{}sig")


@dataclass(frozen=True)
class RefcatColumns:
    """Names of the columns of a catalogue file."""

    ra: str
    dec: str
    id: str | None = None
    epoch: str | None = None
    pm_ra: str | None = None
    pm_dec: str | None = None
    pm_ra_err: str | None = None
    pm_dec_err: str | None = None
    parallax: str | None = None
    ra_err: str | None = None
    dec_err: str | None = None
    magnitudes: Mapping[str, str] = field(default_factory=dict)
    """Filter: column of its magnitude."""
    magnitude_errors: Mapping[str, str] = field(default_factory=dict)
    fluxes: Mapping[str, str] = field(default_factory=dict)
    """Filter: column of its flux."""
    flux_errors: Mapping[str, str] = field(default_factory=dict)

    @property
    def filters(self) -> list[str]:
        """Names of the filters."""
        return [*self.magnitudes, *(name for name in self.fluxes if name not in self.magnitudes)]

    @property
    def needed(self) -> list[str]:
        """The columns to be read."""
        single = (self.ra, self.dec, self.id, self.epoch, self.pm_ra, self.pm_dec, self.parallax)
        groups = (self.magnitudes, self.magnitude_errors, self.fluxes, self.flux_errors)
        errors = (self.pm_ra_err, self.pm_dec_err, self.ra_err, self.dec_err)
        names = [*single, *errors, *(name for group in groups for name in group.values())]
        return list(dict.fromkeys(name for name in names if name is not None))

    @classmethod
    def choose(
        cls,
        present: Iterable[str],
        *,
        stated: Mapping[str, str] | None = None,
        magnitudes: Mapping[str, str] | None = None,
        magnitude_errors: Mapping[str, str] | None = None,
        fluxes: Mapping[str, str] | None = None,
        flux_errors: Mapping[str, str] | None = None,
        file: str | None = None,
    ) -> RefcatColumns:
        """Take the columns that the user states, and guess the others.

        Parameters
        ----------
        present
            Names of the columns of the file.
        stated
            Quantity (`ra`, `dec`, `id`, ...): column.
        magnitudes, magnitude_errors, fluxes, flux_errors
            Filter: column.  Magnitudes are guessed where neither magnitudes nor fluxes are stated.

        Raises
        ------
        RefcatError
            If a stated column is missing, or right ascension or declination cannot be found.
        """
        present, stated = list(present), dict(stated or {})
        groups = {
            "magnitudes": dict(magnitudes or {}),
            "magnitude_errors": dict(magnitude_errors or {}),
            "fluxes": dict(fluxes or {}),
            "flux_errors": dict(flux_errors or {}),
        }
        _check_present([*stated.values(), *(c for group in groups.values() for c in group.values())], present, file)
        for quantity in _POSITIONS:
            if quantity not in stated and (guess := _guess_position(quantity, present)) is not None:
                stated[quantity] = guess
        for quantity in ("ra", "dec"):
            if quantity not in stated:
                raise RefcatError(
                    f"no column is known to hold {quantity}; the file has {', '.join(present)}.",
                    cure=f"Name it: --{quantity} COLUMN.",
                    file=file,
                    keyword=f"--{quantity}",
                )
        if not groups["magnitudes"] and not groups["fluxes"]:
            groups["magnitudes"] = _guess_magnitudes(present)
        for name, column in groups["magnitudes"].items():
            if name not in groups["magnitude_errors"] and (error := _guess_error(column, present)) is not None:
                groups["magnitude_errors"][name] = error
        return cls(**stated, **groups)  # type: ignore[arg-type]


def flux_unit_factor(unit: str) -> float:
    """NJy in a flux unit.

    Raises
    ------
    RefcatError
        If the unit is none of `FLUX_UNITS`.
    """
    if unit.lower() not in FLUX_UNITS:
        raise RefcatError(
            f"the flux unit {unit!r} is not known.", cure=f"Use one of {', '.join(FLUX_UNITS)}.", keyword="--flux-unit"
        )
    return FLUX_UNITS[unit.lower()]


def _check_present(wanted: Iterable[str], present: list[str], file: str | None) -> None:
    missing = [name for name in wanted if name not in present]
    if missing:
        raise RefcatError(
            f"the file has no column {', '.join(missing)}; it has {', '.join(present)}.",
            cure="Correct the name (capitals count).",
            file=file,
            keyword=missing[0],
        )


def _guess_position(quantity: str, present: list[str]) -> str | None:
    """The column that means a quantity by its name."""
    by_lower = {name.lower(): name for name in present}
    return next((by_lower[name] for name in _POSITIONS[quantity] if name in by_lower), None)


def _guess_magnitudes(present: list[str]) -> dict[str, str]:
    """Filters whose magnitudes are recognised, with their columns."""
    found = {}
    for name, candidates in _MAGNITUDES.items():
        column = next((candidate for candidate in candidates if candidate in present), None)
        if column is not None:
            found[name] = column
    return found


def _guess_error(column: str, present: list[str]) -> str | None:
    """The column with the error of a magnitude."""
    return next((name for p in _ERROR_PATTERNS if (name := p.format(column)) in present), None)
