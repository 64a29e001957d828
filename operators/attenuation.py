"""Hounsfield units and attenuation: HU = 1000 (mu - mu_water) / mu_water. The one place where they meet.

mu [1/mm]; air is -1000 HU and 0 /mm. mu_water depends on the tube voltage: 0.0193 /mm is an effective energy
of about 70 keV (120 kVp); scanners write theirs into the header.
"""

from __future__ import annotations

from typing import TypeVar, cast

import numpy as np
from torch import Tensor

Values = TypeVar("Values", bound="float | np.ndarray | Tensor")

MU_WATER = 0.0193  # [1/mm]


def mu_from_hu(hu: Values, mu_water: float = MU_WATER) -> Values:
    """Attenuation [1/mm] of Hounsfield units. Not clipped: HU below -1000 give a negative mu."""
    return cast("Values", (hu / 1000 + 1) * mu_water)


def hu_from_mu(mu: Values, mu_water: float = MU_WATER) -> Values:
    """Hounsfield units of an attenuation [1/mm]."""
    return cast("Values", (mu / mu_water - 1) * 1000)
