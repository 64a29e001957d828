"""Intervals with a promise: how far to stretch m ± lambda s so that calibration patients vouch for new ones.

The unit is the patient (exchangeable, which pixels are not). A patient's loss at lambda, in [0, 1] and falling with
lambda, is for example the part of his pixels that m ± lambda s misses; n patients give a promise for the next one:

    risk control     E loss <= alpha, by lambda = inf{n/(n+1) mean loss + 1/(n+1) <= alpha} (Angelopoulos et al. 2024)
    RCPS             P(risk <= alpha) >= 1 - delta over the choice of the patients, by an upper confidence bound of the
                     risk at every larger lambda (Bates et al. 2021, Theorem 1): Waudby-Smith and Ramdas' (Prop. 5) or
                     Hoeffding and Bentkus' (Prop. 4, with ceil(n mean loss) as in the theorem)
    split conformal  P(score <= q) >= 1 - alpha, q the ceil((n + 1)(1 - alpha))-th smallest of n scores

Too few patients can promise nothing, however well they do: that is an error which says how many it takes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

Array = NDArray[Any]
Bound = Literal["wsr", "hb"]
GRID = 501


class TooFewPatientsError(ValueError):
    """A promise that so few patients cannot give; `needed`: how many it takes."""

    def __init__(self, patients: int, promise: str, needed: int) -> None:
        super().__init__(f"{patients} calibration patients cannot promise {promise}; it takes {needed}")
        self.needed = needed


class Losses:
    """Patients' losses as functions of lambda: (lambda) -> (n,), the part of a patient's `ratios` that is larger.

    Args:
        ratios: ascending, one array a patient.
    """

    def __init__(self, ratios: Sequence[Array]) -> None:
        self.ratios = list(ratios)

    def __len__(self) -> int:
        return len(self.ratios)

    def __call__(self, factor: float) -> Array:
        return np.array([1 - np.searchsorted(r, factor, side="right") / len(r) for r in self.ratios])

    def without(self, patient: int) -> Losses:
        """Those of the others."""
        return Losses([one for k, one in enumerate(self.ratios) if k != patient])

    def least(self, fulfilled: Callable[[Array], bool]) -> float:
        """The least lambda, of `GRID` quantiles of all ratios, from which on losses fulfil a condition: at every larger
        one too, for not every bound falls with lambda."""
        best = float(max(r[-1] for r in self.ratios))  # nothing is missed
        for candidate in np.quantile(np.concatenate(self.ratios), np.linspace(1, 0, GRID)):
            if not fulfilled(self(candidate)):
                break
            best = float(candidate)
        return best


def risk_control(losses: Losses, alpha: float) -> float:
    """The least lambda of conformal risk control: the next patient's expected loss is at most alpha.

    Raises TooFewPatientsError where (n + 1) alpha < 1.
    """
    n = len(losses)
    if (n + 1) * alpha < 1 - 1e-12:
        raise TooFewPatientsError(n, f"a loss of at most {alpha:g}", _needed(alpha))
    return losses.least(lambda found: float(found.sum()) + 1 <= alpha * (n + 1) + 1e-12)


def risk_controlling_set(losses: Losses, alpha: float, delta: float, bound: Bound = "wsr") -> float:
    """The least lambda of RCPS: with probability 1 - delta over the patients, the risk is at most alpha.

    Raises TooFewPatientsError where patients without any loss would not be enough.
    """
    upper = {"wsr": waudby_smith_ramdas, "hb": hoeffding_bentkus}[bound]
    if upper(np.zeros(len(losses)), delta) > alpha:
        n = next(n for n in range(1, 100_000) if upper(np.zeros(n), delta) <= alpha)
        promise = f"a risk of at most {alpha:g} with probability {1 - delta:g}"
        raise TooFewPatientsError(len(losses), promise, n)
    return losses.least(lambda found: upper(found, delta) <= alpha)


def split_conformal(scores: Array, alpha: float) -> float:
    """The number that a new score exceeds with probability alpha at most. Raises as `risk_control`."""
    n = len(scores)
    rank = math.ceil((n + 1) * (1 - alpha) - 1e-12)
    if rank > n:
        raise TooFewPatientsError(n, f"{1 - alpha:g}", _needed(alpha))
    return float(np.sort(scores)[rank - 1])


def _needed(alpha: float) -> int:
    """The fewest patients n with (n + 1) alpha >= 1."""
    return math.ceil(1 / alpha - 1 - 1e-9)


def coverage_band(n: int, alpha: float, level: float = 0.9) -> tuple[float, float]:
    """Where the coverage of split conformal from n patients lies with probability `level`, over their choice: the
    quantiles of Beta(n + 1 - l, l), l = floor((n + 1) alpha) (Vovk 2012)."""
    left = math.floor((n + 1) * alpha + 1e-12)
    if left < 1:
        return 0.0, 1.0
    low, high = stats.beta.ppf([(1 - level) / 2, (1 + level) / 2], n + 1 - left, left)
    return float(low), float(high)


# --- upper confidence bounds of a mean of numbers in [0, 1]
def waudby_smith_ramdas(values: Array, delta: float) -> float:
    """inf{R: max_i prod_{j <= i} (1 - nu_j (L_j - R)) > 1 / delta} (Bates et al. 2021, Prop. 5)."""
    n = len(values)
    i = np.arange(1, n + 1)
    mean = (0.5 + np.cumsum(values)) / (1 + i)
    variance = (0.25 + np.cumsum((values - mean) ** 2)) / (1 + i)
    before = np.concatenate([[0.25], variance[:-1]])
    nu = np.minimum(1, np.sqrt(2 * math.log(1 / delta) / (n * before)))

    def excess(risk: float) -> float:
        with np.errstate(divide="ignore"):  # a factor of zero: this wealth is lost
            wealth = np.cumsum(np.log(np.maximum(1 - nu * (values - risk), 0)))
        return float(wealth.max()) - math.log(1 / delta)

    return _crossing(excess)


def hoeffding_bentkus(values: Array, delta: float) -> float:
    """sup{R: the p-value of mean loss under a risk of R is at least delta} (Bates et al. 2021, Prop. 4)."""
    n, mean = len(values), float(np.mean(values))

    def excess(risk: float) -> float:
        m = min(mean, risk)
        ratio = sum(a * math.log(a / b) for a, b in ((m, risk), (1 - m, 1 - risk)) if a > 0)
        hoeffding = math.exp(-n * ratio)
        bentkus = math.e * float(stats.binom.cdf(math.ceil(n * mean - 1e-9), n, risk))
        return delta - min(hoeffding, bentkus)

    return _crossing(excess, start=mean)


def _crossing(excess: Callable[[float], float], start: float = 0.0) -> float:
    """The least R in [start, 1] from which on the excess, which rises with R, is positive."""
    low, high = max(start, 1e-9), 1 - 1e-9
    if excess(high) <= 0:
        return 1.0
    if excess(low) > 0:
        return low
    root: Any = optimize.brentq(excess, low, high, xtol=1e-9)
    return float(root)
