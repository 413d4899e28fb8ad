"""Catalogues as VOTables, the exchange format of the International Virtual Observatory Alliance."""

from __future__ import annotations

import warnings
from pathlib import Path

from astropy.io.votable import from_table
from astropy.io.votable.exceptions import W50
from astropy.table import Table

__all__ = ["write_votable"]


def write_votable(table: Table, path: Path) -> None:
    """Write a catalogue with its units and descriptions, the rows in binary.

    Units that the standard does not know, such as electron, are written by the names that they have here.
    """
    plain = table.copy()
    plain.meta = {}
    for name in plain.colnames:
        plain[name].description = " ".join(str(plain[name].description or "").split()) or None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", W50)
        document = from_table(plain, table_id="catalogue")
        document.to_xml(str(path), tabledata_format="binary2")
