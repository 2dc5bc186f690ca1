"""Writes the tables of documents from the workdirs of runs, so that no number is typed.

    python -m benchmarks.results_tables docs/results.md --runs=docs/measured
    python -m benchmarks.results_tables docs/results.md --runs=docs/measured --check

A table of a document stands between two comments, of which the first has the command whose output
it is. Names of workdirs are relative to the folder of --runs:

    <!-- table 1 of: mmer compare unseen_speakers --markdown -->
    | row | accuracy |
    |---|---|
    <!-- end of table -->

An argument OUT stands for the folder of --out, where commands that draw write their figures;
without it they write to a temporary folder.

With `--archive NAME=WORKDIR` records and predictions of a workdir are copied to RUNS/NAME first,
without paths of the machine, parameters and logs: enough to compute all tables, intervals and tests
again. `--epochs` leaves out the records after other numbers of epochs, which are most of the size.
"""

import argparse
import difflib
import json
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence

_TABLE = re.compile(r"(<!-- table (\d+) of: (mmer .*?) -->\n)(.*?)(<!-- end of table -->)", re.S)

# Fields of a record's config that hold paths of the machine.
_PATHS = ("manual_dir", "data_dir", "pack")


def fill(text: str, run: Callable[[Sequence[str]], str]) -> str:
    """Returns a document with the tables that its comments ask for.

    Args:
      text: The document.
      run: Function of a command, split into arguments, that returns its output in Markdown.

    Raises:
      ValueError: The output of a command has too few tables.
    """

    def replace(match: re.Match) -> str:
        begin, number, command, _, end = match.groups()
        tables = find_tables(run(shlex.split(command)))
        if len(tables) < int(number):
            raise ValueError(f"{command}: expected {number} tables or more, found {len(tables)}")
        return f"{begin}{tables[int(number) - 1]}\n{end}"

    return _TABLE.sub(replace, text)


def find_tables(output: str) -> list[str]:
    """Returns the Markdown tables in a text, each as one str without a trailing newline."""
    return [
        match.group().rstrip("\n") for match in re.finditer(r"(?:^\|.*\n?)+", output, re.MULTILINE)
    ]


def archive(workdir: pathlib.Path, destination: pathlib.Path, epochs: Sequence[int] = ()) -> None:
    """Copies records, predictions and results of tests of a workdir, without paths of the machine.

    `mmer robustness` and `mmer speakers` print these results with --stored.

    Args:
      workdir: The workdir.
      destination: Folder of the copy; replaced if it exists.
      epochs: Numbers of epochs whose records are copied; empty for all.
    """
    shutil.rmtree(destination, ignore_errors=True)
    shutil.copytree(workdir / "predictions", destination / "predictions")
    for name in ("robustness.jsonl", "speaker_recordings.jsonl"):
        if (workdir / name).exists():
            shutil.copy(workdir / name, destination / name)
    lines = []
    for line in (workdir / "records.jsonl").read_text().splitlines():
        record = json.loads(line)
        if epochs and record["epochs"] not in epochs:
            continue
        for section in ("data", "test_data"):
            fields = record["config"].get(section, {})
            fields.update({name: None for name in _PATHS if fields.get(name)})
        lines.append(json.dumps(record))
    (destination / "records.jsonl").write_text("\n".join(lines) + "\n")


def main() -> int:
    """Runs the command; returns 1 if --check finds a table that differs."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("documents", nargs="*", type=pathlib.Path)
    parser.add_argument("--runs", type=pathlib.Path, required=True, help="folder of workdirs")
    parser.add_argument("--archive", action="append", default=[], metavar="NAME=WORKDIR")
    parser.add_argument("--epochs", nargs="+", type=int, default=(), help="epochs to archive")
    parser.add_argument(
        "--out", type=pathlib.Path, help="folder of figures (default: a temporary one)"
    )
    parser.add_argument("--check", action="store_true", help="only report differences")
    options = parser.parse_args()
    for name, _, workdir in (entry.partition("=") for entry in options.archive):
        archive(pathlib.Path(workdir), options.runs / name, options.epochs)

    differences: list[str] = []
    with tempfile.TemporaryDirectory() as temporary:
        out = str((options.out or pathlib.Path(temporary)).absolute())

        def run(command: Sequence[str]) -> str:
            arguments = [out if argument == "OUT" else argument for argument in command[1:]]
            program = [sys.executable, "-m", "mmer_jax.cli", *arguments]
            done = subprocess.run(program, cwd=options.runs, stdout=subprocess.PIPE, text=True)
            if done.returncode:
                sys.exit(f"{shlex.join(command)} in {options.runs} failed")
            return done.stdout

        for path in options.documents:
            before = path.read_text()
            after = fill(before, run)
            differences += difflib.unified_diff(
                before.splitlines(), after.splitlines(), str(path), "regenerated", lineterm=""
            )
            if not options.check:
                path.write_text(after)
    print("\n".join(differences))
    return int(options.check and bool(differences))


if __name__ == "__main__":
    sys.exit(main())
