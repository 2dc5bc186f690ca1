"""Noisy sound from speech builds and from recordings, against what a pack has of them."""

import json

import cv2
import numpy as np
import pytest
import soxr

from mmer_jax import errors, experiment
from mmer_jax.datasets import pack, packing, tfds_io
from mmer_jax.media import sound, spectrogram
from mmer_jax.robustness import conditions, results, sounds
from mmer_jax.robustness.__main__ main


@pytest.fixture(scope="module")
def recordings(tmp_path_factory, write_sound):
    """Sixteen short tones of two actors, at 24 kHz: anger is higher than fear."""
    folder, rng = tmp_path_factory.mktemp("tones"), np.random.default_rng(0)
    for i in range(16):
        emotion, statement, repetition, actor = 5 + i % 2, 1 + i // 2 % 2, 1 + i // 4 % 2, 1 + i // 8
        time = np.arange(12000) / 24000
        tone = 0.3 * np.sin(2 * np.pi * (500 if i % 2 else 900) * time)
        name = f"03-01-{emotion:02d}-02-{statement:02d}-{repetition:02d}-{actor:02d}"
        write_sound(folder / f"{name}.wav", tone + 0.003 * rng.normal(size=12000), rate=24000)
    return folder
