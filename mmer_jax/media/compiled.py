"""librosa's compiled functions, compiled by one process at a time."""

import fcntl
import functools
import os
import tempfile
from pathlib import Path

import librosa
import numpy as np


@functools.cache
def compile_librosa() -> None:
    """Has librosa compile what the images of a waveform use, or load it from Numba's cache.

    Numba keeps what it compiles beside librosa. Processes that write that cache at the same time,
    as workers in a fresh environment do, can crash each other: a segmentation fault in one of nine
    packings that ran three at a time with two workers each, none of six with the lock.
    """
    place = Path(tempfile.gettempdir()) / f"mmer_jax_compiling_{os.getuid()}.lock"
    with open(place, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        noise = np.random.default_rng(0).standard_normal(8192).astype(np.float32)
        librosa.feature.chroma_stft(y=noise, sr=22050)
        librosa.feature.spectral_bandwidth(y=noise, sr=22050)
        librosa.feature.melspectrogram(y=noise, sr=22050)
        librosa.effects.pitch_shift(noise, sr=22050, n_steps=1)
