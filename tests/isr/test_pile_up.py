"""The level of saturation from the pile-up of saturated pixels."""

from __future__ import annotations

import numpy as np
import pytest

from skyloom.isr import pile_up_level


def test_the_level_lies_below_the_fullest_bin() -> None:
    counts = np.full((200, 300), 1200, np.uint16)
    counts[:5] = np.linspace(61000, 64000, 1500).reshape(5, 300)
    counts[5:9] = 64470
    counts[9, :3] = 65535
    # 100 bins from 60000 to 65536: 64470 falls into that from 64428.16 on.
    assert pile_up_level(counts, 60000.0, 0.95) == int(0.95 * (60000 + 80 * 55.36))


def test_one_bright_star_is_enough_to_tell() -> None:
    counts = np.full((20, 20), 1000, np.uint16)
    counts[3, 4] = 61000
    assert pile_up_level(counts, 60000.0, 0.95) == int(0.95 * (60000 + 99 * 10.01))


@pytest.mark.parametrize("largest", [60000, 1000])
def test_faint_frames_tell_nothing(largest: int) -> None:
    counts = np.full((20, 20), 900, np.uint16)
    counts[0, 0] = largest
    assert pile_up_level(counts, 60000.0, 0.95) is None
