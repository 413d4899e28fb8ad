"""Templates of many peaks one after the other in one array, each over a box of its own."""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["add_template", "is_empty", "shrunk", "template_boxes", "template_of"]


@njit(cache=True, nogil=True)
def template_boxes(
    x: np.ndarray, y: np.ndarray, reach: np.ndarray, height: int, width: int
) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (x0, y0, width, height) about peaks within the footprint's box, and where the pixels of each begin."""
    boxes = np.empty((x.size, 4), np.int64)  # x0, y0, width, height
    start = np.zeros(x.size + 1, np.int64)
    for k in range(x.size):
        x0, x1 = max(x[k] - reach[k], 0), min(x[k] + reach[k] + 1, width)
        y0, y1 = max(y[k] - reach[k], 0), min(y[k] + reach[k] + 1, height)
        boxes[k, 0], boxes[k, 1], boxes[k, 2], boxes[k, 3] = x0, y0, max(x1 - x0, 0), max(y1 - y0, 0)
        start[k + 1] = start[k] + boxes[k, 2] * boxes[k, 3]
    return boxes, start


@njit(cache=True, nogil=True)
def template_of(pool: np.ndarray, start: np.ndarray, boxes: np.ndarray, k: int) -> np.ndarray:
    """Template of peak k, ``[y, x]``: a view of its pixels among those of all."""
    return pool[start[k] : start[k + 1]].reshape(boxes[k, 3], boxes[k, 2])


@njit(cache=True, nogil=True)
def add_template(total: np.ndarray, template: np.ndarray, x0: int, y0: int) -> None:
    """Add a template to the box of the footprint, with its first pixel at (x0, y0)."""
    for j in range(template.shape[0]):
        for i in range(template.shape[1]):
            total[y0 + j, x0 + i] += template[j, i]


@njit(cache=True, nogil=True)
def shrunk(
    x: np.ndarray, y: np.ndarray, boxes: np.ndarray, start: np.ndarray, pool: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same templates in boxes without empty rows and columns around them; the peak's pixel stays inside."""
    n = boxes.shape[0]
    tight, begin = boxes.copy(), np.zeros(n + 1, np.int64)
    for k in range(n):
        template = template_of(pool, start, boxes, k)
        top, left = y[k] - boxes[k, 1], x[k] - boxes[k, 0]
        bottom, right = top + 1, left + 1
        for j in range(template.shape[0]):
            for i in range(template.shape[1]):
                if template[j, i] > 0.0:
                    top, bottom = min(top, j), max(bottom, j + 1)
                    left, right = min(left, i), max(right, i + 1)
        tight[k, 0], tight[k, 1] = boxes[k, 0] + left, boxes[k, 1] + top
        tight[k, 2], tight[k, 3] = right - left, bottom - top
        begin[k + 1] = begin[k] + tight[k, 2] * tight[k, 3]
    packed = np.empty(begin[n], np.float32)
    for k in range(n):
        template, target = template_of(pool, start, boxes, k), template_of(packed, begin, tight, k)
        down, right = tight[k, 1] - boxes[k, 1], tight[k, 0] - boxes[k, 0]
        for j in range(target.shape[0]):
            for i in range(target.shape[1]):
                target[j, i] = template[j + down, i + right]
    return tight, begin, packed


@njit(cache=True, nogil=True)
def is_empty(template: np.ndarray) -> bool:
    """Whether no pixel of a template is positive."""
    for j in range(template.shape[0]):
        for i in range(template.shape[1]):
            if template[j, i] > 0.0:
                return False
    return True
