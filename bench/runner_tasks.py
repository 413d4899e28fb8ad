# ruff: noqa: N802, N803
"""A task that does nothing but read a number and write it: what is left is the overhead of whoever runs it."""

from __future__ import annotations

from typing import Any

import lsst.pipe.base as pb
from lsst.pipe.base.connectionTypes import Input, Output


class NothingConnections(pb.PipelineTaskConnections, dimensions=("instrument", "detector")):
    """A number, and the same number."""

    number = Input(doc="n", name="number", storageClass="StructuredDataDict", dimensions=("instrument", "detector"))
    copied = Output(doc="n", name="copied", storageClass="StructuredDataDict", dimensions=("instrument", "detector"))


class NothingConfig(pb.PipelineTaskConfig, pipelineConnections=NothingConnections):
    """There is nothing to set."""


class NothingTask(pb.PipelineTask):
    """Copies a number."""

    ConfigClass = NothingConfig
    _DefaultName = "nothing"

    def runQuantum(self, butlerQC: Any, inputRefs: Any, outputRefs: Any) -> None:
        """Read, write."""
        butlerQC.put(butlerQC.get(inputRefs.number), outputRefs.copied)
