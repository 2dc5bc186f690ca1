"""Compilation of librosa's Numba functions, one process at a time."""

import functools
import os
import tempfile
from pathlib import Path

import librosa
import numpy as np

from mmer_jax.utils import files


@functools.cache
def compile_librosa() -> None:
    """Compiles the librosa functions that spectrograms need, or loads them from Numba's cache.

    Numba caches compiled functions in the folder of librosa. Processes that write this cache at the
    same time, as workers in a fresh environment do, can crash each other. In an experiment with
    three packing jobs at a time, each with two workers, one of nine jobs ended in a segmentation
    fault without the lock, and none of six with the lock.
    """
    path = Path(tempfile.gettempdir()) / f"mmer_jax_compiling_{os.getuid()}.lock"
    with files.lock(path):
        noise = np.random.default_rng(0).standard_normal(8192).astype(np.float32)
        librosa.feature.chroma_stft(y=noise, sr=22050)
        librosa.feature.spectral_bandwidth(y=noise, sr=22050)
        librosa.feature.melspectrogram(y=noise, sr=22050)
        librosa.effects.pitch_shift(noise, sr=22050, n_steps=1)
