"""The tables of the documents are what their commands print."""

import json
import pathlib
import subprocess
import sys

import pytest

from benchmarks import results_tables

ROOT = pathlib.Path(__file__).parents[1]

DOCUMENT = """Before.

<!-- table 2 of: mmer compare "a b" --markdown -->
| old |
|---|
<!-- end of table -->

After.
"""
OUTPUT = """### per clip

| one |
| --- |
| 1 |

A note with a | in it.

| two |
| ---: |
| 2 |
"""


def test_a_table_is_replaced_by_that_of_its_command():
    commands = []

    def run(command):
        commands.append(command)
        return OUTPUT

    filled = results_tables.fill(DOCUMENT, run)
    assert filled == DOCUMENT.replace("| old |\n|---|", "| two |\n| ---: |\n| 2 |")
    assert commands == [["mmer", "compare", "a b", "--markdown"]]
    assert results_tables.fill(filled, run) == filled


def test_a_command_with_too_few_tables_is_named():
    with pytest.raises(ValueError, match=r"mmer compare .*: expected 2 tables or more, found 1"):
        results_tables.fill(DOCUMENT, lambda command: "| one |\n| --- |\n")


def test_an_archive_has_no_paths_of_the_machine(tmp_path):
    workdir = tmp_path / "run"
    (workdir / "predictions").mkdir(parents=True)
    (workdir / "predictions" / "cell.npz").write_bytes(b"x")
    data = {"manual_dir": "/home/me/wav", "data_dir": None, "size": 64}
    records = [
        {"row": "mel", "epochs": 10, "config": {"data": data}},
        {"row": "mel", "epochs": 20, "config": {"data": data}},
        {"row": "face", "epochs": 40, "config": {}},
    ]
    (workdir / "records.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
    results_tables.archive(workdir, tmp_path / "archived", epochs=(10, 40))
    text = (tmp_path / "archived" / "records.jsonl").read_text()
    assert "/home" not in text and len(text.splitlines()) == 2
    assert json.loads(text.splitlines()[0])["config"]["data"]["size"] == 64
    assert (tmp_path / "archived" / "predictions" / "cell.npz").read_bytes() == b"x"


def test_documents_have_the_numbers_of_the_measured_runs():
    documents = [path for path in ROOT.glob("docs/*.md") if "<!-- table" in path.read_text()]
    assert documents
    command = [sys.executable, "-m", "benchmarks.results_tables", *map(str, documents)]
    done = subprocess.run(
        [*command, "--runs=docs/measured", "--check"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
