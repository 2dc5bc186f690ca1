"""Tests that mmer_jax.media imports no heavy packages."""

import subprocess
import sys

import mmer_jax.media

PROGRAM = """
import importlib, pkgutil, sys
import mmer_jax.media
light = sorted({"av", "cv2", "librosa"} & set(sys.modules))
names = [m.name for m in pkgutil.iter_modules(mmer_jax.media.__path__)]
for name in names:
    importlib.import_module("mmer_jax.media." + name)
heavy = {"jax", "flax", "tensorflow", "tensorflow_datasets", "mmer_jax.datasets"}
print(len(names), light, sorted(heavy & set(sys.modules)))
"""


def test_modules_import_no_framework_and_the_package_itself_no_media_library():
    run = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert run.stderr == ""
    count, rest = run.stdout.split(" ", 1)
    assert int(count) >= 8
    assert rest == "[] []\n"
    assert mmer_jax.media.__doc__
