"""Fixtures: clips with known frames and motion, and a waveform with a known tone."""

from pathlib import Path

import numpy as np
import pytest

FRAMES = 24


@pytest.fixture(scope="session")
def brightening(tmp_path_factory, write_clip) -> Path:
    """A clip of 24 gray frames at 12 frames per second; frame i has the gray level 10 i."""
    levels = 10 * np.arange(FRAMES, dtype=np.uint8)
    frames = np.broadcast_to(levels[:, None, None, None], (FRAMES, 64, 96, 3))
    return write_clip(tmp_path_factory.mktemp("clips") / "brightening.mp4", frames, rate=12)


@pytest.fixture(scope="session")
def moving(tmp_path_factory, write_clip) -> Path:
    """A clip of 24 frames, 96 x 96 pixels: a noisy square moves right by 2 pixels per frame."""
    texture = np.random.default_rng(0).integers(60, 255, (40, 40, 1), np.uint8)
    frames = np.zeros((FRAMES, 96, 96, 3), np.uint8)
    for i, frame in enumerate(frames):
        frame[28:68, 2 + 2 * i : 42 + 2 * i] = texture
    return write_clip(tmp_path_factory.mktemp("clips") / "moving.mp4", frames, rate=12)


@pytest.fixture(scope="session")
def beep(sine) -> np.ndarray:
    """Two seconds at 22050 Hz with a tone of 1000 Hz from 0.5 s to 0.8 s."""
    samples = np.zeros(2 * 22050, np.float32)
    samples[11025:17640] = sine(1000, 0.3)
    return samples
