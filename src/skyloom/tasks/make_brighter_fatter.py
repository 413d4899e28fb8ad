"""`MakeBrighterFatterKernelTask`: the brighter-fatter kernel of a detector, from pairs of flats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lsst.pex.config import Field, RangeField
from lsst.pipe.base import PipelineTaskConnections, Struct

from skyloom.calibs import KernelSettings, Raw, make_brighter_fatter_kernel
from skyloom.isr import linearities_from_data

from .flat_pairs import PairConfig
from .master_frames import MasterTask, camera_input, chosen_calibration, new_calibration, raw_frames, record

if TYPE_CHECKING:
    from lsst.images import MaskedImage

__all__ = ["MakeBrighterFatterKernelConfig", "MakeBrighterFatterKernelConnections", "MakeBrighterFatterKernelTask"]


class MakeBrighterFatterKernelConnections(PipelineTaskConnections, dimensions=("instrument", "detector")):
    """The flats of a detector, what they are corrected with, and the kernel."""

    raws = raw_frames("Flat frames, two of each of many levels.")
    camera = camera_input()
    bias = chosen_calibration("bias", "Master bias, in ADU.")
    linearizer = chosen_calibration(
        "linearizer", "How the counts of each amplifier become proportional.", storage_class="StructuredDataDict"
    )
    kernel = new_calibration(
        "brighterFatterKernel",
        "Minus the potential that one electron raises around itself.",
        storage_class="StructuredDataDict",
    )


class MakeBrighterFatterKernelConfig(PairConfig, pipelineConnections=MakeBrighterFatterKernelConnections):
    """Settings of `MakeBrighterFatterKernelTask`."""

    lags: Any = RangeField(
        dtype=int, default=8, min=1, max=30, doc="Rows and columns that the kernel reaches from its middle."
    )
    zero_sum: Any = Field(
        dtype=bool, default=False, doc="Take the variance's coefficient from the others, as charge is conserved."
    )
    tail_from: Any = RangeField(
        dtype=float,
        default=0.0,
        min=0.0,
        doc="Beyond this distance (pixels) coefficients follow a power law; zero: as measured.",
    )

    def setDefaults(self) -> None:
        """Stay further below the full well, where charge begins to spill."""
        super().setDefaults()  # type: ignore[no-untyped-call]
        self.fit_to = KernelSettings().fit_to


class MakeBrighterFatterKernelTask(MasterTask):
    """Make the brighter-fatter kernel."""

    ConfigClass = MakeBrighterFatterKernelConfig
    _DefaultName = "make_brighter_fatter"
    config: MakeBrighterFatterKernelConfig

    def run(
        self, raws: Sequence[Raw], bias: MaskedImage | None = None, linearizer: Mapping[str, Any] | None = None
    ) -> Struct:
        """Make the brighter-fatter kernel.

        Parameters
        ----------
        raws
            What reads the flats, one by one.
        bias
            Master bias in ADU.
        linearizer
            Correction of the linearity, as plain data.

        Returns
        -------
        Struct
            ``kernel``: plain data that `skyloom.isr.kernel_from_data` takes.

        Raises
        ------
        skyloom.errors.BadFrameError
            If there are too few pairs, flats of different read-out modes, or no effect to be seen.
        """
        measured = make_brighter_fatter_kernel(
            raws,
            bias=bias,
            linearities=None if linearizer is None else linearities_from_data(linearizer),
            settings=self.config.filled(KernelSettings()),
        )
        record(self, measured)
        return Struct(kernel=measured.data)
