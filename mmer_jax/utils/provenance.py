"""Provenance of results: package versions and the git commit of the source."""

import importlib.metadata
import pathlib
import subprocess
import sys

# Packages whose versions are recorded, where they are installed.
PACKAGES = (
    *("mmer-jax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy"),
    *("tensorflow-datasets", "librosa", "opencv-python", "av"),
)


def versions() -> dict[str, str]:
    """Returns the versions of Python and of the installed packages among PACKAGES.

    Returns:
      Distribution name, or "python" for Python -> version.
    """
    installed = {"python": sys.version.split()[0]}
    for name in PACKAGES:
        try:
            installed[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # a machine that trains from packs may lack TensorFlow and OpenCV
    return installed


def git_commit() -> str | None:
    """Returns the git commit of the source, 40 hex digits.

    Returns:
      The commit, followed by "+" if files differ from the commit; None if the source is not in a
      git checkout.
    """
    folder = pathlib.Path(__file__).parent
    try:
        completed = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--dirty=+", "--exclude=*"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return completed.stdout.strip() or None
