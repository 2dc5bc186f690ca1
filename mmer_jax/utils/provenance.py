"""What produced a number: versions and the commit of this source."""

import importlib.metadata
import pathlib
import subprocess
import sys

# Whose versions a record names, where they are installed.
PACKAGES = (
    *("mmer-jax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy"),
    *("tensorflow-datasets", "librosa", "opencv-python", "av"),
)


def versions() -> dict[str, str]:
    """Python's version and those of PACKAGES that are installed."""
    found = {"python": sys.version.split()[0]}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # a machine that trains from packs has no TensorFlow or OpenCV
    return found


def git_commit() -> str | None:
    """The commit of this source, with a + if files differ from it; None outside a checkout."""
    here = pathlib.Path(__file__).parent
    try:
        answer = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--dirty=+", "--exclude=*"],
            cwd=here,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return answer.stdout.strip() or None
