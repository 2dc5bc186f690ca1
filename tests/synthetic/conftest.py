"""Rendered clips shared by the tests in this folder."""

from pathlib import Path

import pytest

from mmer_jax.synthetic import expression, render_ravdess

TEN_ACTORS = 10  # all ten skin tones


@pytest.fixture(scope="session")
def clips(tmp_path_factory) -> list[Path]:
    """50 clips: one with strong intensity for each of ten actors and five emotions."""
    return render_ravdess(
        tmp_path_factory.mktemp("rendered"),
        actors=TEN_ACTORS,
        seed=3,
        intensities=("strong",),
        statements=(1,),
        repetitions=(1,),
        seconds=0.8,
    )


@pytest.fixture(scope="session")
def all_emotions(tmp_path_factory) -> list[Path]:
    """Eight short clips of actor 1, one per emotion, with strong intensity except for neutral."""
    folder = tmp_path_factory.mktemp("all_emotions")
    take = {"actors": 1, "statements": (2,), "repetitions": (1,), "seconds": 0.8, "workers": 1}
    emotions = [name for name in expression.EMOTIONS if name != "neutral"]
    paths = render_ravdess(folder, emotions=emotions, intensities=("strong",), **take)
    return paths + render_ravdess(folder, emotions=("neutral",), intensities=("normal",), **take)
