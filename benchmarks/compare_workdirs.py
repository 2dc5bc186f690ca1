"""Compares the predictions of two workdirs, bit for bit.

    python -m benchmarks.compare_workdirs BEFORE AFTER

Every file of predictions that either of them has is compared: the examples (clip, view, label), the
classes and the probabilities at each measured epoch. Prints the files that differ, with the largest
difference of a probability. The exit status is 0 if all are equal and 1 if not.
"""

import argparse
import sys
from pathlib import Path

import numpy as np


def compare(before: Path, after: Path) -> list[str]:
    """Describes how two files of predictions differ; empty if they are equal bit for bit."""
    problems = []
    with np.load(before) as first, np.load(after) as second:
        if first.files != second.files:
            return [f"other members: {sorted(set(first.files) ^ set(second.files))}"]
        for name in first.files:
            one, other = first[name], second[name]
            if one.dtype == other.dtype and np.array_equal(one, other):
                continue
            difference = ""
            if one.shape == other.shape and one.dtype.kind == "f":
                difference = f" by up to {np.abs(one - other).max():.2g}"
            problems.append(f"{name} differs{difference}")
    return problems


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("before", type=Path, metavar="BEFORE", help="workdir")
    parser.add_argument("after", type=Path, metavar="AFTER", help="workdir")
    options = parser.parse_args()
    files = [
        {path.relative_to(workdir): path for path in (workdir / "predictions").rglob("*.npz")}
        for workdir in (options.before, options.after)
    ]
    problems = [
        f"{name}: only in one workdir" for name in sorted(files[0].keys() ^ files[1].keys())
    ]
    common = sorted(files[0].keys() & files[1].keys())
    for name in common:
        problems += [f"{name}: {text}" for text in compare(files[0][name], files[1][name])]
    print("\n".join([*problems, f"{len(common)} files compared, {len(problems)} differences"]))
    return 1 if problems or not common else 0


if __name__ == "__main__":
    sys.exit(main())
