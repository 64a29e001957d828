"""The tables of calibration in the guides, from what `scanprior calibrate` measured.

    python benchmarks/tables.py                     # writes the tables of docs/ anew
    python benchmarks/tables.py RUN ...             # and takes the figures of these output folders first
    python benchmarks/tables.py --show RUN ...      # every method of these folders, for a page of the lab notebook

Figures stay in docs/data/calibration.json: of each task, patients (test, calibration or prior) and method the last
run's. A table stands in a page between `<!-- table: NAME -->` and `<!-- end -->`; tests/test_docs.py holds the pages
against it.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from scanprior.modality import Modality

DOCS = Path(__file__).parents[1] / "docs"
DATA = DOCS / "data" / "calibration.json"
TABLE = re.compile(r"(<!-- table: (.+?) -->\n).*?(<!-- end -->)", re.S)
TASKS = {  # specification of the measurement -> what the guides call it, in the guides' order
    "ct:views=23": "CT, 23 views, noise-free",
    "ct:views=23,photons=1e5": "CT, 23 views, 1e5 photons a ray",
    "ct:views=60,photons=1e5": "CT, 60 views, 1e5 photons a ray",
    "mri:accel=4": "T1 brain, x4",
    "mri:accel=8": "T1 brain, x8",
}
KEPT = (
    "coverage_50",
    "coverage_80",
    "coverage_90",
    "coverage_95",
    "spread_skill",
    "crps",
    "grain",
    "uniformity",
)
BANDS = ("0.05 to 0.1", "0.1 to 0.2", "0.2 to 0.35", "above 0.35")

Record = dict[str, Any]


def records(run: Path) -> Iterator[Record]:
    """A record a task and method of an output folder of `calibrate`."""
    facts = json.loads((run / "calibration.json").read_text(encoding="utf-8"))
    pairs = dict.fromkeys((line["task"], line["label"]) for line in facts["lines"])
    for task, label in pairs:
        own = [line for line in facts["lines"] if (line["task"], line["label"]) == (task, label)]
        priors = {Modality(name): prior for name, prior in facts["priors"].items()}
        prior = priors[Modality(facts["tasks"][task].partition(":")[0])]
        yield {
            "task": facts["tasks"][task],
            "on": facts["on"],
            "method": label.partition(":")[0],
            "label": label,
            "settings": facts["settings"][f"{task}: {label}"],
            "prior": {key: prior[key] for key in ("name", "sha256")},
            **{key: own[0][key] for key in ("patients", "samples")},
            "places": {line["place"]: _rounded(line) for line in own},
        }


def _rounded(line: Record) -> Record:
    names = [name for key in KEPT for name in (key, f"{key}_low", f"{key}_high")]
    return {name: float(f"{line[name]:.4g}") for name in names if line.get(name) is not None}


def taken(known: Sequence[Record], runs: Sequence[Path]) -> list[Record]:
    """What is known, with the figures of these runs in place of older ones."""
    found = {(one["task"], one["on"], one["method"]): one for one in known}
    for run in runs:
        found |= {(one["task"], one["on"], one["method"]): one for one in records(run)}
    return [found[key] for key in sorted(found, key=lambda key: (_order(key[0]), *key))]


def _order(task: str) -> int:
    return list(TASKS).index(task) if task in TASKS else len(TASKS)


# --- the tables by name: records -> head and rows
def spread(found: Sequence[Record]) -> Iterator[list[str]]:
    """Each method beside the others: pixels, means over discs, spread over error."""
    yield [
        "task",
        "patients",
        "method",
        "90 % intervals hold",
        "of means over 5 mm",
        "of means over 10 mm",
        "spread over error",
    ]
    for one in _of(found, "test"):
        places = one["places"]
        yield [
            _named(one["task"]),
            str(one["patients"]),
            f"`{one['method']}`",
            _cell(places["inside"], "coverage_90"),
            *(_cell(places.get(f"discs of {mm} mm", {}), "coverage_90") for mm in (5, 10)),
            _cell(places["inside"], "spread_skill"),
        ]


def short(found: Sequence[Record]) -> Iterator[list[str]]:
    """How often 90 % intervals of pixels hold the truth: one line a task, one column a method."""
    methods = list(dict.fromkeys(one["method"] for one in _of(found, "test")))
    yield ["task", "patients", *(f"`{name}`" for name in methods)]
    for task in dict.fromkeys(one["task"] for one in _of(found, "test")):
        own = {one["method"]: one for one in _of(found, "test") if one["task"] == task}
        counts = sorted({one["patients"] for one in own.values()})
        held = [own[name]["places"]["inside"] if name in own else {} for name in methods]
        yield [
            _named(task),
            " to ".join(map(str, dict.fromkeys((counts[0], counts[-1])))),
            *(_cell(one, "coverage_90", interval=False) for one in held),
        ]


def grain(found: Sequence[Record]) -> Iterator[list[str]]:
    """The samples' rms over the truth's, by band of frequency."""
    yield ["task", "patients", "method", *BANDS]
    for one in _of(found, "test"):
        if any("grain" in place for place in one["places"].values()):
            values = [_cell(one["places"].get(band, {}), "grain", interval=False) for band in BANDS]
            yield [_named(one["task"]), str(one["patients"]), f"`{one['method']}`", *values]


def of_the_prior(found: Sequence[Record]) -> Iterator[list[str]]:
    """p-values of the ranks of truths that the prior drew."""
    quantities = ("patch means", "their measured part", "their open part", "patches (TARP)")
    yield ["task", "images", "method", *quantities, "spread over error, inside"]
    for one in _of(found, "prior"):
        values = [_cell(one["places"].get(name, {}), "uniformity", digits=3) for name in quantities]
        ratio = _cell(one["places"]["inside"], "spread_skill")
        yield [_named(one["task"]), str(one["patients"]), f"`{one['label']}`", *values, ratio]


TABLES = {"spread": spread, "short": short, "grain": grain, "prior": of_the_prior}


def _of(found: Sequence[Record], on: str) -> list[Record]:
    return [one for one in found if one["on"] == on]


def _named(task: str) -> str:
    return TASKS.get(task, task)


def _cell(place: Record, key: str, digits: int = 2, interval: bool = True) -> str:
    """A figure, coverage in percent, with its interval in brackets where it is known."""
    if key not in place:
        return "–"
    percent = key.startswith("coverage")

    def shown(name: str) -> str:
        return f"{100 * place[name]:.0f}" if percent else f"{place[name]:.{digits}f}"

    known = interval and f"{key}_low" in place and f"{key}_high" in place
    brackets = f" ({shown(f'{key}_low')} – {shown(f'{key}_high')})" if known else ""
    return f"{shown(key)}{' %' * percent}{brackets}"


def markdown(rows: Iterator[list[str]]) -> str:
    head, *body = rows
    lines = [head, ["---"] * len(head), *body]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def written(page: str, found: Sequence[Record]) -> str:
    """A page with its tables as the figures are. Raises KeyError for a table that there is not."""
    return TABLE.sub(lambda match: match[1] + markdown(TABLES[match[2]](found)) + match[3], page)


def pages() -> list[Path]:
    """The guides and README that have a table."""
    found = [DOCS.parent / "README.md", *sorted(DOCS.rglob("*.md"))]
    return [
        path for path in found if path.exists() and "lab" not in path.parts and TABLE.search(path.read_text())
    ]


def main(runs: Sequence[Path], show: bool) -> None:
    if show:
        found = [one for run in runs for one in records(run)]
        for name, table in TABLES.items():
            if len(rows := list(table(found))) > 1:
                print(f"{name}\n\n{markdown(iter(rows))}")
        return
    found = taken(json.loads(DATA.read_text(encoding="utf-8")) if DATA.exists() else [], runs)
    DATA.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    for path in pages():
        path.write_text(written(path.read_text(encoding="utf-8"), found), encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "runs", nargs="*", type=Path, metavar="RUN", help="an output folder of `scanprior calibrate`"
    )
    parser.add_argument(
        "--show", action="store_true", help="print the tables of the runs, and change nothing"
    )
    arguments = parser.parse_args()
    main(arguments.runs, arguments.show)
