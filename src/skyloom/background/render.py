"""`render_field`: the values of a field at the pixels of a box, by compiled code where there is some for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from lsst.images.fields import ChebyshevField, ProductField, SplineField, SumField

from skyloom.kernels.background import render_akima

from .chebyshev import render_chebyshev

if TYPE_CHECKING:
    from lsst.images import Box
    from lsst.images.fields import Field

__all__ = ["render_field"]


def render_field(field: Field, box: Box) -> np.ndarray:
    """The field at every pixel of a box, ``[y, x]`` float32, in the unit of the field.

    The same as ``field.render(box)``, in a tenth of its time for splines and sums and products with them.
    """
    match field:
        case SumField() if all(one.unit == field.unit for one in field.operands):
            total = render_field(field.operands[0], box)
            for one in field.operands[1:]:
                total += render_field(one, box)
            return total
        case ProductField():
            product = render_field(field.operands[0], box)
            for one in field.operands[1:]:
                product *= render_field(one, box)
            return product
        case SplineField() if min(field.data.shape) > 1 and np.isfinite(field.data).all():
            # The field's own arrays are read-only, for which the kernel would be compiled once more.
            nodes, y, x = (np.array(part, dtype=np.float64) for part in (field.data, field.y, field.x))
            return np.asarray(render_akima(nodes, y, x, box.y.min, box.x.min, box.y.size, box.x.size))
        case ChebyshevField() if field.bounds.bbox == box:
            return render_chebyshev(field)
        case _:
            return np.asarray(field.render(box, dtype=np.float32).array)
