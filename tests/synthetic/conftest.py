"""Rendered clips that the tests of this folder share."""

from pathlib import Path

import pytest

from mmer_jax.synthetic import expression, render_ravdess

TEN_ACTORS = 10  # all ten skin tones


@pytest.fixture(scope="session")
def clips(tmp_path_factory) -> list[Path]:
    """One strong clip an emotion of each of ten actors, all five demo emotions: 50 clips."""
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
    """Actor 1 with every emotion, strong but neutral: eight short clips."""
    folder = tmp_path_factory.mktemp("all_emotions")
    take = {"actors": 1, "statements": (2,), "repetitions": (1,), "seconds": 0.8, "workers": 1}
    loud = [name for name in expression.EMOTIONS if name != "neutral"]
    found = render_ravdess(folder, emotions=loud, intensities=("strong",), **take)
    return found + render_ravdess(folder, emotions=("neutral",), intensities=("normal",), **take)
