"""Tables inside an archive: numbers as a binary table, texts beside it."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pydantic
from astropy.table import Table
from lsst.images.serialization import ArchiveTree, InputArchive, InvalidParameterError, OutputArchive, TableModel

from skyloom.psf.schema import SCHEMA_URL_BASE

__all__ = ["InputsTableModel"]


class InputsTableModel(ArchiveTree):
    """The table of the inputs of a warp or coadd.  Archives hold no columns of text: those go into the tree."""

    SCHEMA_NAME: ClassVar[str] = "skyloom_inputs_table"
    SCHEMA_VERSION: ClassVar[str] = "1.1.0"
    MIN_READ_VERSION: ClassVar[int] = 1
    SCHEMA_URL_BASE: ClassVar[str] = SCHEMA_URL_BASE
    PUBLIC_TYPE: ClassVar[type] = Table

    numbers: TableModel = pydantic.Field(description="Columns of numbers and truth values.")
    texts: dict[str, list[str]] = pydantic.Field(default_factory=dict, description="Columns of text.")
    order: list[str] = pydantic.Field(description="Names of all columns, in order.")
    units: dict[str, str] = pydantic.Field(default_factory=dict, description="Units of the columns that have one.")
    descriptions: dict[str, str] = pydantic.Field(default_factory=dict, description="What the columns hold.")

    @classmethod
    def from_table(cls, table: Table, archive: OutputArchive[Any]) -> InputsTableModel:
        """Write a table to an archive."""
        texts = {
            name: [str(value) for value in table[name]] for name in table.colnames if table[name].dtype.kind in "US"
        }
        numbers = Table(table, copy=True)
        numbers.remove_columns(list(texts))
        numbers.meta = {}
        for name in numbers.colnames:
            numbers[name].meta, numbers[name].unit, numbers[name].description = {}, None, None
        return cls(
            numbers=archive.add_table(numbers, name="numbers"),
            texts=texts,
            order=list(table.colnames),
            units={name: table[name].unit.to_string() for name in table.colnames if table[name].unit is not None},
            descriptions={name: table[name].description for name in table.colnames if table[name].description},
        )

    def deserialize(self, archive: InputArchive[Any], **kwargs: Any) -> Table:
        """Read the table.

        Raises
        ------
        lsst.images.serialization.InvalidParameterError
            If any parameter is given: the table is read whole.
        """
        if kwargs:
            raise InvalidParameterError(f"Unrecognized parameters for the table of inputs: {set(kwargs)}.")
        numbers = archive.get_table(self.numbers)
        table = Table()
        for name in self.order:
            table[name] = np.array(self.texts[name]) if name in self.texts else numbers[name]
            table[name].unit, table[name].description = self.units.get(name), self.descriptions.get(name)
        return table
