"""How long a network takes to answer: one example, batches, and a whole clip from its file.

    python -m benchmarks.inference [--row=face_flow_mel] [--size=128] [--clips=FOLDER]

The network has its first parameters: what it says means nothing, what it costs does not depend on
that. FOLDER holds recordings under RAVDESS's names; without it clips are rendered at RAVDESS's
1280x720. A clip's images are made as a build makes them (three triplets, PNG files included).
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import jax
import numpy as np

from benchmarks import rates
from configs import base
from mmer_jax import models
from mmer_jax.config import resolve
from mmer_jax.corpora import recordings
from mmer_jax.datasets import clips, packing
from mmer_jax.media import video
from mmer_jax.models import registry
from mmer_jax.synthetic.ravdess import render_ravdess
from mmer_jax.training import optimizers, sharding, step

BATCHES, ROUNDS = (1, 30, 120), 30


def make_answer(config) -> Callable:
    """images, uint8 [n, size, size, c] for each modality -> probabilities, on the host."""
    mesh, model = sharding.make_mesh(jax.local_devices()[:1]), models.build(config)
    whole = sharding.replicated(mesh)
    batch = tuple(registry.input_shapes(config).items())
    optimizer = optimizers.make_optimizer(config, 1)
    init = step.make_init(model, optimizer, batch, mesh, averaged=False, keeps_best=False)
    params = init(np.uint32(0)).params
    predict = step.make_predict(model, mesh)

    def answer(images):
        count = len(next(iter(images.values())))
        index = np.arange(count, dtype=np.int32)
        rows = dict.fromkeys(images, index)
        data = jax.device_put(step.DeviceData(images, rows, 0 * index), whole)
        return np.asarray(predict(params, data, index))

    return answer


def seconds(call: Callable, rounds: int) -> np.ndarray:
    """Of each of some calls, after one that is not counted."""
    call()
    found = []
    for _ in range(rounds):
        started = time.perf_counter()
        call()
        found.append(time.perf_counter() - started)
    return np.array(found)


def of_batches(config, answer) -> None:
    print(f"{'examples':<22}{'median ms':>11}{'95% ms':>9}{'examples/s':>12}{'clips/s':>9}")
    rng = np.random.default_rng(0)
    for batch in BATCHES:
        shapes = registry.input_shapes(config, batch)
        made = {name: rng.integers(0, 256, x.shape, np.uint8) for name, x in shapes.items()}
        took = seconds(lambda made=made: answer(made), ROUNDS)
        middle, late = np.median(took), np.quantile(took, 0.95)
        rate = batch / middle
        print(
            f"{batch:<22}{1e3 * middle:>11.1f}{1e3 * late:>9.1f}{rate:>12.1f}"
            f"{rate / len(clips.TRIPLET_VARIANTS):>9.1f}"
        )


def of_clips(config, answer, folder: Path) -> None:
    chosen = recordings.select(folder, [("audio_video",)]).recordings
    stages = {name: [] for name in ("decoding alone", "images", "network", "file to answer")}
    for number, recording in enumerate([chosen[0], *chosen]):  # the first loads and compiles
        times = [time.perf_counter()]
        video.read_frames(recording.source(), indices=())
        times.append(time.perf_counter())
        examples = clips.make_triplets(recording, clips.Options())
        times.append(time.perf_counter())
        answer(
            {
                name: np.stack([_image(e[name], config.data.size) for e in examples])
                for name in config.modalities
            }
        )
        times.append(time.perf_counter())
        if number:
            for name, took in zip(stages, np.diff(times), strict=False):
                stages[name].append(took)
            stages["file to answer"].append(times[3] - times[1])
    print(f"{'a clip, ' + str(len(chosen)) + ' clips':<22}{'median ms':>11}{'longest':>9}")
    for name, took in stages.items():
        print(f"{name:<22}{1e3 * np.median(took):>11.1f}{1e3 * max(took):>9.1f}")


def _image(png: bytes, size: int) -> np.ndarray:
    stored = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)
    stored = stored[..., None] if stored.ndim == 2 else stored[..., ::-1]
    return packing.resize(stored, size)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--row", default="face_flow_mel")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--clips", type=Path)
    given = parser.parse_args()
    sharding.keep_freed_memory()
    config = resolve.resolve_row(base.get_config(), given.row, {"data.size": given.size})
    print(f"{rates.machine()}; {given.row} at {given.size} pixels")
    answer = make_answer(config)
    of_batches(config, answer)
    with tempfile.TemporaryDirectory() as rendered:
        if given.clips is None:
            print("clips are rendered: drawings, which compress better than films do")
            facts = {"actors": 1, "statements": [1], "repetitions": [1], "intensities": ["strong"]}
            render_ravdess(Path(rendered), size=(1280, 720), seconds=3.5, **facts)
        of_clips(config, answer, given.clips or Path(rendered))


if __name__ == "__main__":
    main()
