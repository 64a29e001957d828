"""Settings of a method tuned on validation slices, by Optuna's tree-structured Parzen estimator.

The method as it is comes first, and stays where no trial is better; then each setting alone at the quarters of its
range, then the estimator. One sample a slice, the same noise in every trial. A trial is a function of those that were
finished before it: a tuning that was killed and called again finds what one does that was not.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np

from ...formats.write import atomic
from ...priors.score import Prior
from ...recon.methods import BASELINES, METHODS, class_of, method_of
from ...recon.metrics import LEAST_VIF
from ...recon.options import names
from ...recon.places import WHOLE
from ..settings import Search
from .cases import Case
from .rows import solve

Value = int | float
LOCK_SECONDS = 5  # after which the lock of a process that was killed is taken away


LOWER = {"crps"}  # metrics of which less is better
OF_SAMPLES = {"crps"}  # and those of the samples, not of an image


@dataclass(frozen=True)
class Best:
    """What a search found.

    Attributes:
        settings: the best; none where the method as it is was.
        value: their mean metric over the slices.
        default: that of the method as it is.
        trials: how many were tried in all.
    """

    settings: dict[str, Value]
    value: float
    default: float
    trials: int


def check_tunable(name: str, metric: str = "psnr") -> None:
    """Raise ValueError for a method without a space, and for one without samples where the metric is theirs."""
    if not class_of(name).space:
        known = (one for one in (*METHODS, *BASELINES) if class_of(one).space)
        raise ValueError(f"tune: {name} has nothing to tune; these have: {', '.join(known)}")
    if metric in OF_SAMPLES and name in BASELINES:
        raise ValueError(f"--metric {metric}: {name} gives one image and no samples; take psnr, ssim or vif")


def tune(
    name: str,
    options: str,
    cases: Sequence[Case],
    prior: Prior | None,
    search: Search | None = None,
    journal: Path | None = None,
    study: str = "study",
    progress: Callable[[int, float], None] = lambda done, best: None,
) -> Best:
    """Tune what `options` leaves open.

    Args:
        name, options: the method, as `method_of`.
        cases: validation slices.
        journal: a file where trials are kept; a study of that name goes on.
        progress: called with (trials done, best value so far).

    Raises:
        ValueError: a method without a space, no slices, nothing left to tune.
    """
    search = search or Search()
    check_tunable(name, search.metric)
    space = space_of(name, options)
    if not space or not cases:
        raise ValueError(f"tune: {name} {options} on {len(cases)} slices leaves nothing to tune")
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    better, direction = (min, "minimize") if search.metric in LOWER else (max, "maximize")
    found: Any = optuna.create_study(
        storage=_storage(journal), study_name=study, direction=direction, load_if_exists=True
    )

    def value(settings: dict[str, Value]) -> float:
        return _value(method_of(name, options, settings), cases, prior, search)

    if "default" not in found.user_attrs:
        found.set_user_attr("default", value({}))
    default: float = found.user_attrs["default"]
    method: Any = method_of(name, options)
    first, ranges = one_at_a_time(method.settings, space), {k: _range(*bounds) for k, bounds in space.items()}
    while True:
        ended = [trial for trial in found.trials if trial.state.is_finished()]
        values = [trial.value for trial in ended if trial.value is not None]
        best, done = better([default, *values]), len(values)
        progress(done, best)
        if done >= search.trials:
            return Best(dict(found.best_params) if best != default else {}, best, default, done)
        settings = first[len(ended)] if len(ended) < len(first) else _proposed(ended, ranges, direction)
        try:
            outcome: dict[str, Any] = {"value": value(settings)}
        except ValueError:  # they diverge
            outcome = {"state": optuna.trial.TrialState.FAIL}
        found.add_trial(optuna.create_trial(params=settings, distributions=ranges, **outcome))


def space_of(name: str, options: str) -> dict[str, tuple[Value, Value]]:
    """What of a method's settings `options` leaves to be tuned, and within which bounds."""
    fixed = names(options)
    return {key: bounds for key, bounds in class_of(name).space.items() if key not in fixed}


def samples_of(search: Search) -> int:
    """How many samples of each slice a metric needs."""
    return search.samples if search.metric in OF_SAMPLES else 1


def finished(journal: Path, study: str) -> int:
    """How many trials of a study a journal holds; nothing is written."""
    if not journal.is_file():
        return 0
    import optuna

    lines = [line for line in journal.read_bytes().splitlines(keepends=True) if _is_whole(line)]
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "journal"
        copy.write_bytes(b"".join(lines))
        try:
            found: Any = optuna.load_study(study_name=study, storage=_storage(copy))
        except KeyError:
            return 0
        return sum(trial.value is not None for trial in found.trials if trial.state.is_finished())


def _value(method: Any, cases: Sequence[Case], prior: Prior | None, search: Search) -> float:
    """The mean metric over the slices."""
    count = samples_of(search)
    values: list[float] = []
    for case in cases:
        found = solve(method, case.problem, prior, count, 0)
        if search.metric == "crps":
            values.append(case.calibration(found.samples[0])[WHOLE].crps)
            continue
        figure = case.figures(found.mean)[search.metric]
        if figure is None:
            raise ValueError(
                f"--metric: the slices are too small for {search.metric}, expected {LEAST_VIF} pixels a side"
            )
        values.append(figure)
    return float(np.mean(values))


def _proposed(ended: list[Any], ranges: dict[str, Any], direction: Any) -> dict[str, Value]:
    """The estimator's next settings: a function of the trials that have ended, and of nothing else."""
    import optuna

    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=len(ended)), direction=direction)
    study.add_trials(ended)
    return study.ask(ranges).params


def _storage(journal: Path | None) -> Any:
    """Optuna's journal in a file. Of a file whose end was torn (a full disk, a power cut) the whole lines are kept."""
    if journal is None:
        return None
    from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock, JournalStorage

    lines = journal.read_bytes().splitlines(keepends=True) if journal.is_file() else []
    whole = list(takewhile(_is_whole, lines))
    if whole != lines:
        with atomic(journal) as temporary:
            temporary.write_bytes(b"".join(whole))
    lock = JournalFileSymlinkLock(str(journal), grace_period=LOCK_SECONDS)
    return JournalStorage(JournalFileBackend(str(journal), lock_obj=lock))


def _is_whole(line: bytes) -> bool:
    try:
        return line.endswith(b"\n") and isinstance(json.loads(line), dict)
    except ValueError:
        return False


def one_at_a_time(settings: dict[str, Any], space: dict[str, tuple[Value, Value]]) -> list[dict[str, Value]]:
    """The settings of `space` as they are but for one, at a quarter, a half and three quarters of its range; not where
    it stands anyway. One that is left to the method stands in the middle."""
    own = {
        key: _within(0.5, low, high) if settings[key] is None else min(max(settings[key], low), high)
        for key, (low, high) in space.items()
    }
    places = [(key, _within(part / 4, *bounds)) for key, bounds in space.items() for part in (1, 2, 3)]
    return [own | {key: at} for key, at in places if not math.isclose(at, own[key], rel_tol=0.01)]


def _within(part: float, low: Value, high: Value) -> Value:
    at = low * (high / low) ** part if _wide(low, high) else low + (high - low) * part
    return round(at) if isinstance(low, int) else at


def _wide(low: Value, high: Value) -> bool:
    """Whether a range is gone through in logarithms."""
    return low > 0 and high >= 10 * low


def _range(low: Value, high: Value) -> Any:
    """As Optuna says it."""
    from optuna.distributions import FloatDistribution, IntDistribution

    kind: Any = IntDistribution if isinstance(low, int) else FloatDistribution
    return kind(low, high, log=_wide(low, high))
