# ruff: noqa: N802, N803
"""Tasks of a toy pipeline: doubled numbers, their sum, a copy on the sky. A switch file says what goes wrong."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import lsst.pipe.base as pb
from lsst.pex.config import Field
from lsst.pipe.base.connectionTypes import Input, Output

from skyloom.errors import AstrometryError
from skyloom.tasks.failure import FrameFailure


class DoubleConnections(pb.PipelineTaskConnections, dimensions=("instrument", "detector")):
    number = Input(doc="n", name="number", storageClass="StructuredDataDict", dimensions=("instrument", "detector"))
    doubled = Output(doc="2n", name="doubled", storageClass="StructuredDataDict", dimensions=number.dimensions)
    extra = Output(doc="x", name="extra", storageClass="StructuredDataDict", dimensions=number.dimensions)


class DoubleConfig(pb.PipelineTaskConfig, pipelineConnections=DoubleConnections):
    factor = Field[float](doc="factor", default=2.0)


class DoubleTask(pb.PipelineTask):
    ConfigClass = DoubleConfig
    _DefaultName = "double"

    def runQuantum(self, butlerQC: Any, inputRefs: Any, outputRefs: Any) -> None:
        number = butlerQC.get(inputRefs.number)
        switch = Path(number["switch"])
        way = switch.read_text() if switch.exists() else ""
        self.log.info("value %s", number["value"])
        if way == "no work":
            raise pb.NoWorkFound("nothing in it")
        butlerQC.put({"value": number["value"] * self.config.factor}, outputRefs.doubled)
        if way == "kill once":
            switch.unlink()
        if way.startswith("kill"):
            os.kill(os.getpid(), 9)
        if way == "memory":
            hog = bytearray(os.urandom(1000)) * 3_000_000
            time.sleep(30)
            hog.clear()
        if way == "runtime":
            raise RuntimeError("out of the blue")
        if way == "frame":
            error = FrameFailure(AstrometryError("no match", n_tried=3))
            error.__cause__ = error.error
            raise pb.AnnotatedPartialOutputsError.annotate(error, self, log=self.log) from error
        if way == "sleep":
            time.sleep(60)
        butlerQC.put({"value": 1.0}, outputRefs.extra)


class SumConnections(pb.PipelineTaskConnections, dimensions=("instrument",)):
    doubled = Input(
        doc="2n",
        name="doubled",
        storageClass="StructuredDataDict",
        dimensions=("instrument", "detector"),
        multiple=True,
        deferLoad=True,
    )
    total = Output(doc="sum", name="total", storageClass="StructuredDataDict", dimensions=("instrument",))


class SumConfig(pb.PipelineTaskConfig, pipelineConnections=SumConnections):
    pass


class SumTask(pb.PipelineTask):
    ConfigClass = SumConfig
    _DefaultName = "sum"

    def run(self, doubled: list[Any]) -> pb.Struct:
        values = {str(handle.dataId["detector"]): handle.get()["value"] for handle in doubled}
        return pb.Struct(total={"values": values, "sum": sum(values.values())})


class TileConnections(pb.PipelineTaskConnections, dimensions=("skymap", "tract")):
    total = Input(doc="sum", name="total", storageClass="StructuredDataDict", dimensions=("instrument",), multiple=True)
    tile = Output(doc="tile", name="tile", storageClass="StructuredDataDict", dimensions=("skymap", "tract"))


class TileConfig(pb.PipelineTaskConfig, pipelineConnections=TileConnections):
    factor = Field[float](doc="factor", default=1.0)


class TileTask(pb.PipelineTask):
    ConfigClass = TileConfig
    _DefaultName = "tile"

    def run(self, total: list[Any]) -> pb.Struct:
        return pb.Struct(tile={"sum": self.config.factor * sum(one["sum"] for one in total)})
