"""Mutation testing of a random sample of mutants, with Cosmic Ray.

    pip install cosmic-ray
    python -m benchmarks.mutation --number=150 --seed=0 --session=mutation.sqlite

A mutant is a copy of the package with one small change, such as `<` for `<=` or 2 for 1. It is
killed if a test of the changed module fails. Positions in the source are drawn with equal
probability, then one of Cosmic Ray's mutants at each; annotations of types are left out, where
nearly every change is an error on import. The last commit is tested, in a temporary worktree. The
same command continues a session that was interrupted.

    cr-report --surviving-only --show-diff mutation.sqlite      # what survived
"""

import argparse
import ast
import collections
import os
import pathlib
import random
import shlex
import subprocess
import sys
import tempfile
import time

from cosmic_ray import commands
from cosmic_ray.mutating import mutate_and_test
from cosmic_ray.testing import run_tests
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import TestOutcome

ROOMS = ("training", "protocols", "media", "evaluation")

# Modules without a test file of their own, and the tests that use them.
TESTS = {
    "training/checkpoints": ("training/test_loop.py", "training/test_early_stopping.py"),
    "training/preemption": ("training/test_loop.py", "training/test_early_stopping.py"),
    "training/rng": ("training/test_step.py", "training/test_input_pipeline.py"),
    "media/compiled": ("media/test_flow.py",),
    "evaluation/cell_predictions": ("evaluation/test_summary.py", "reports/test_compare.py"),
    "evaluation/comparable": ("reports/test_compare.py",),
    "evaluation/data_check": ("evaluation/test_summary.py", "reports/test_report.py"),
    "evaluation/ladder": ("reports/test_ladder.py",),
    "evaluation/measured_rows": ("reports/test_literature.py",),
}

# A mutant may take this many times as long as the unchanged module, and this many seconds more.
_SLOWDOWN, _GRACE = 3, 60


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--number", type=int, default=150, help="mutants to draw")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--session", type=pathlib.Path, required=True, help="file of the results")
    args = parser.parse_args()
    session = args.session.absolute()
    commit = _git("rev-parse", "--short", "HEAD")
    with tempfile.TemporaryDirectory() as folder:
        tree = pathlib.Path(folder) / "tree"
        _git("worktree", "add", "--detach", str(tree), commit)
        try:
            os.chdir(tree)
            os.environ["PYTHONPATH"] = str(tree)
            # What one mutant has compiled, the next need not compile again.
            os.environ["JAX_COMPILATION_CACHE_DIR"] = str(pathlib.Path(folder) / "compiled")
            os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.1"
            with use_db(str(session), WorkDB.Mode.create) as db:
                if not db.num_work_items:
                    db.add_work_items(sample(args.number, random.Random(args.seed)))
                run(db)
                report(db, commit)
        finally:
            os.chdir("/")
            subprocess.run(
                ["git", "-C", str(_ROOT), "worktree", "remove", "--force", tree], check=True
            )


_ROOT = pathlib.Path(__file__).resolve().parents[1]


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(_ROOT), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def sample(number: int, rng: random.Random) -> list:
    """Returns work items: one mutant at each of `number` positions."""
    files = sorted(f for room in ROOMS for f in pathlib.Path("mmer_jax", room).glob("[!_]*.py"))
    annotations = {str(f): _annotations(f) for f in files}
    at = collections.defaultdict(list)
    with (
        tempfile.NamedTemporaryFile(suffix=".sqlite") as file,
        use_db(file.name, WorkDB.Mode.create) as db,
    ):
        commands.init(files, db, {})
        items = db.work_items
    for item in sorted(items, key=_name):
        m = item.mutations[0]
        path = str(m.module_path)
        if not any(a <= m.start_pos and m.end_pos <= b for a, b in annotations[path]):
            at[path, m.start_pos, m.end_pos].append(item)
    chosen = rng.sample(sorted(at), number)
    print(f"{number} of {len(at)} positions, with {sum(map(len, at.values()))} mutants, are tested")
    return [rng.choice(at[position]) for position in chosen]


def _name(item) -> tuple:
    """Returns what identifies a mutant in all sessions; job ids are random."""
    mutation = item.mutations[0]
    return str(mutation.module_path), mutation.operator_name, mutation.occurrence


def _annotations(file: pathlib.Path) -> list:
    """Returns start and end, (line, column), of each annotation of a module."""
    nodes = [
        child
        for node in ast.walk(ast.parse(file.read_text()))
        for child in (getattr(node, "annotation", None), getattr(node, "returns", None))
        if isinstance(child, ast.AST)
    ]
    return [((n.lineno, n.col_offset), (n.end_lineno, n.end_col_offset)) for n in nodes]


def test_command(module: pathlib.Path) -> str:
    """Returns the command that runs the tests of a module until one fails."""
    name = str(module.relative_to("mmer_jax").with_suffix(""))
    room, _, stem = name.partition("/")
    tests = TESTS.get(name, (f"{room}/test_{stem}.py",))
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    return shlex.join([*command, *(f"tests/{test}" for test in tests)])


def run(db: WorkDB) -> None:
    """Tests the mutants of a session that have no result yet."""
    seconds: dict[str, float] = {}
    pending = sorted(db.pending_work_items, key=_name)
    for i, item in enumerate(pending, 1):
        module = item.mutations[0].module_path
        command = test_command(module)
        if command not in seconds:
            start = time.perf_counter()
            outcome, output = run_tests(command, 3600)
            if outcome != TestOutcome.SURVIVED:
                sys.exit(f"tests fail without a mutant: {command}\n{output}")
            seconds[command] = time.perf_counter() - start
        result = mutate_and_test(item.mutations, command, _SLOWDOWN * seconds[command] + _GRACE)
        db.set_result(item.job_id, result)
        print(f"{i}/{len(pending)}: {module}:{item.mutations[0].start_pos[0]} {_outcome(result)}")


def _outcome(result) -> str:
    return "timeout" if result.output == "timeout" else result.test_outcome.value


def report(db: WorkDB, commit: str) -> None:
    """Prints the number of mutants by room and outcome."""
    outcomes = ("killed", "timeout", "survived", "incompetent")
    counts = collections.Counter(
        (item.mutations[0].module_path.parts[1], _outcome(result))
        for item, result in db.completed_work_items
    )
    print(f"commit {commit}\n\n| room | {' | '.join(outcomes)} |\n|---|{'---|' * len(outcomes)}")
    for room in ROOMS:
        print(f"| `{room}/` | {' | '.join(str(counts[room, o]) for o in outcomes)} |")


if __name__ == "__main__":
    main()
