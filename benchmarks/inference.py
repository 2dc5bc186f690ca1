"""Latency of a network's predictions: single examples, batches, and a whole clip from its file.

    python -m benchmarks.inference [--row=face_flow_mel] [--size=128] [--clips=FOLDER]

The network has its initial parameters, on which its cost does not depend. FOLDER contains
recordings under RAVDESS's names; without it, clips are rendered at RAVDESS's 1280x720. The images
of a clip are made as a build makes them: three triplets, PNG files included.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import cv2
import jax
import ml_collections
import numpy as np

from benchmarks import rates, trainer
from configs import base
from mmer_jax.config import resolve
from mmer_jax.corpora import recordings
from mmer_jax.datasets import clips, packing
from mmer_jax.inference.predictor import Predictor
from mmer_jax.media import video
from mmer_jax.synthetic.ravdess import render_ravdess
from mmer_jax.training import sharding

BATCHES, ROUNDS = (1, 30, 120), 30

# Modality -> uint8 [n, size, size, c] -> probabilities on the host, float32 [n, classes].
Predict = Callable[[Mapping[str, np.ndarray]], np.ndarray]


def make_predict(config: ml_collections.ConfigDict) -> Predict:
    """Returns the prediction of a config's network for images in the host's memory."""
    devices = jax.local_devices()[:1]
    params = trainer.Trainer(config, sharding.make_mesh(devices)).state.params
    predictor = Predictor(config, devices)

    def predict(images):
        indices = np.arange(len(next(iter(images.values()))))
        return predictor.probabilities(params, images, dict.fromkeys(images, indices))

    return predict


def measure_batches(config: ml_collections.ConfigDict, predict: Predict) -> None:
    """Prints the latency of batches; the first call, which compiles, is not counted."""
    print(f"{'examples':<22}{'median, ms':>11}{'95%, ms':>9}{'examples/s':>12}{'clips/s':>9}")
    for batch in BATCHES:
        images = trainer.noise_images(config, batch)
        predict(images)
        seconds = []
        for _ in range(ROUNDS):
            start = time.perf_counter()
            predict(images)
            seconds.append(time.perf_counter() - start)
        median, late = np.median(seconds), np.quantile(seconds, 0.95)
        rate = batch / median
        print(
            f"{batch:<22}{1e3 * median:>11.1f}{1e3 * late:>9.1f}{rate:>12.1f}"
            f"{rate / len(clips.TRIPLET_VARIANTS):>9.1f}"
        )


def measure_clips(config: ml_collections.ConfigDict, predict: Predict, folder: Path) -> None:
    """Prints the latency of whole clips; the first one is processed once more, for compilation."""
    selected = recordings.select(folder, [("audio_video",)]).recordings
    stages = {name: [] for name in ("decoding alone", "images", "network", "file to prediction")}
    for number, recording in enumerate([selected[0], *selected]):
        times = [time.perf_counter()]
        video.read_frames(recording.source(), indices=())
        times.append(time.perf_counter())
        examples = clips.make_triplets(recording, clips.Options())
        times.append(time.perf_counter())
        predict(
            {
                name: np.stack([_decode(e[name], config.data.size) for e in examples])
                for name in config.modalities
            }
        )
        times.append(time.perf_counter())
        if number:
            seconds = [*np.diff(times), times[3] - times[1]]
            for name, value in zip(stages, seconds, strict=True):
                stages[name].append(value)
    print(f"{'a clip, ' + str(len(selected)) + ' clips':<22}{'median, ms':>11}{'longest':>9}")
    for name, seconds in stages.items():
        print(f"{name:<22}{1e3 * np.median(seconds):>11.1f}{1e3 * max(seconds):>9.1f}")


def _decode(png: bytes, size: int) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)
    image = image[..., None] if image.ndim == 2 else image[..., ::-1]
    return packing.resize(image, size)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--row", default="face_flow_mel")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--clips", type=Path, help="folder of recordings, instead of rendered ones")
    args = parser.parse_args()
    sharding.keep_freed_memory()  # as run.py does
    config = resolve.resolve_row(base.get_config(), args.row, {"data.size": args.size})
    print(f"{rates.machine()}; {args.row} at {args.size} pixels")
    predict = make_predict(config)
    measure_batches(config, predict)
    with tempfile.TemporaryDirectory() as rendered:
        if args.clips is None:
            print("rendered clips: drawings, which compress better than recordings")
            takes = {"actors": 1, "statements": [1], "repetitions": [1], "intensities": ["strong"]}
            render_ravdess(Path(rendered), size=(1280, 720), seconds=3.5, **takes)
        measure_clips(config, predict, args.clips or Path(rendered))


if __name__ == "__main__":
    main()
