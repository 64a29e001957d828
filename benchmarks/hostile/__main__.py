"""Mutated files of every format, read, described and validated: what happens, for docs/reliability.md.

cd benchmarks
python -m hostile --inputs 2000                            # every format, one row each
python -m hostile --inputs 200000 --log outcomes.jsonl     # hours; stopped, it goes on where it was
python -m hostile --formats nifti-1 --number 17 -o bad.nii # one input, to look into
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np

from .campaign import HEAD, campaign, write
from .changes import changes
from .fate import fate, judged
from .sound import FORMATS


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=list(FORMATS))
    parser.add_argument("--inputs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--log", type=Path, help="the chunks that are done")
    parser.add_argument("--number", type=int, help="one input: its changes and its fate at the front door")
    parser.add_argument("-o", "--output", type=Path, help="where to write it")
    given = parser.parse_args()
    warnings.simplefilter("ignore")  # what numpy says of numbers that make no sense
    if given.number is not None:
        _one(given.formats[0], given.number, given.seed, given.output)
        return
    print(HEAD)
    print("|---" * (HEAD.count("|") - 1) + "|")
    for name in given.formats:
        known = 0
        for total in campaign(name, given.inputs, given.seed, given.log):
            for words in total.bad[known:]:
                print(f"{name} {words}", file=sys.stderr, flush=True)
            known = len(total.bad)
            print(f"{name} {total.inputs:,}, {total.inputs / total.seconds:.0f}/s", end="\r", file=sys.stderr)
        print(total.row(name), f"{total.inputs / total.seconds:.0f} inputs/s", flush=True)


def _one(name: str, number: int, seed: int, output: Path | None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write(name, number, seed, Path(folder), Path(folder))
        print(changes(np.random.default_rng([seed, number])))
        print(judged(fate, [path], confined=False)[0][0])
        if output is not None:
            shutil.copy(path, output)


if __name__ == "__main__":
    main()
