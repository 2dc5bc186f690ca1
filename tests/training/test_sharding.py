"""What sharding.py sets for the whole process."""

import importlib.util
import os
import platform
import subprocess
import sys

import pytest

from mmer_jax.training import sharding

# Takes and gives back 50 MiB six times; prints how many pages the system cleared for the last five.
PROGRAM = """
import resource, sys
from mmer_jax.training import sharding
if sys.argv[1] == "keep":
    sharding.keep_freed_memory()
for i in range(6):
    if i == 1:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    bytearray(50 * 2**20)[::4096] = b"1" * (50 * 2**8)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc's")
def test_memory_that_was_given_back_is_not_cleared_again():
    def pages(what, **settings):
        environment = {
            name: value for name, value in os.environ.items() if "MALLOC" not in name
        } | settings
        command = [sys.executable, "-c", PROGRAM, what]
        return int(subprocess.run(command, capture_output=True, check=True, env=environment).stdout)

    assert pages("leave") > 5 * 12_000
    assert pages("keep") < 1000
    assert pages("keep", MALLOC_ARENA_MAX="2") > 5 * 12_000  # somebody has chosen


def test_where_there_may_be_an_accelerator_nothing_is_set(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name == "libtpu" or None)
    monkeypatch.delenv("MALLOC_ARENA_MAX")
    monkeypatch.setattr(sharding.ctypes, "CDLL", None)  # would be called, and cannot
    sharding.keep_freed_memory()
