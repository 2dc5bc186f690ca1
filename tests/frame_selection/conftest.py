"""Fixtures: rendered BAUM-1 recordings."""

from pathlib import Path

import pytest

from mmer_jax.synthetic import render_baum1


@pytest.fixture(scope="session")
def baum1(tmp_path_factory) -> Path:
    """Folder of acted clips: three subjects, two emotions, all irregularities of BAUM-1."""
    folder = tmp_path_factory.mktemp("baum1")
    render_baum1(
        folder,
        "acted",
        subjects=3,
        clips=1,
        emotions=("anger", "happiness"),
        size=(96, 72),
        seconds=0.8,
        fps=10,
        traps=True,
        workers=1,
    )
    return folder
