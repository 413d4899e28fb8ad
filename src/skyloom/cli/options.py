"""Kinds of options that several commands share."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = [
    "PAGE_FOLDER",
    "PAGE_QUIET",
    "PAGE_SOURCES",
    "REPOSITORY",
    "REPOSITORY_FOLDER",
    "SIZE",
    "names_of",
    "sky_position",
]


class _Size(click.ParamType[int]):
    """Bytes, written as ``800M`` or ``1.5G``."""

    name = "SIZE"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        from skyloom.execute.memory import parse_size

        try:
            return value if isinstance(value, int) else parse_size(str(value))
        except ValueError:
            self.fail(f"{value!r} is no size; write 800M or 1.5G.", param, ctx)


SIZE = _Size()


class _Folder(click.ParamType[Path]):
    """A folder, which need not exist; no URI."""

    name = "directory"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        text = str(value)
        if "://" in text:
            cure = "make one with its files elsewhere by `skyloom init FOLDER --datastore URI` and name that"
            self.fail(f"{text!r} is no folder; {cure}.", param, ctx)
        if Path(text).is_file():
            self.fail(f"Directory {text!r} is a file.", param, ctx)
        return Path(text)


REPOSITORY_FOLDER = _Folder()


class _Repository(click.ParamType[str]):
    """A folder that exists, or a URI such as ``s3://BUCKET/REPO``."""

    name = "directory"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from skyloom.repo.rollback import roll_back

        text = str(value)
        if "://" not in text:
            if not Path(text).is_dir():
                self.fail(f"Directory {text!r} does not exist.", param, ctx)
            roll_back(text)
        return text


REPOSITORY = _Repository()

PAGE_SOURCES = click.option(
    "-c", "--collections", help="Where the products are, with commas between several.  [default: the newest of each]"
)
"""Of the commands that write pages."""
PAGE_FOLDER = click.option(
    "-o",
    "--output",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("report"),
    show_default=True,
    help="Folder to write to.",
)
PAGE_QUIET = click.option("-q", "--quiet", is_flag=True, help="Print nothing.")


def names_of(collections: str | None) -> list[str]:
    """The collections that an option names."""
    return [name for name in (collections or "").split(",") if name]


def sky_position(ra: str, dec: str) -> tuple[float, float]:
    """A position in degrees, as the user wrote it."""
    from astropy.units import UnitsError

    from skyloom.instruments.quantities import parse_angle

    try:
        ra_deg, dec_deg = parse_angle(ra, None, hours=True), parse_angle(dec, None)
    except (ValueError, UnitsError) as error:
        raise click.BadParameter(f"no position: {ra} {dec}.", param_hint="--center") from error
    if not (-360.0 <= ra_deg <= 360.0 and -90.0 <= dec_deg <= 90.0):
        raise click.BadParameter(f"outside the sky: {ra} {dec}.", param_hint="--center")
    return ra_deg % 360.0, dec_deg
