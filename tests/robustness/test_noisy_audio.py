"""Images of noisy audio, from speech builds and from recordings, against a pack's images."""

import json

import cv2
import numpy as np
import pytest
import soxr

from mmer_jax import errors
from mmer_jax.cli.robustness import main
from mmer_jax.datasets import pack
from mmer_jax.experiments.run import run_experiment
from mmer_jax.media import audio, spectrogram
from mmer_jax.results import predictions
from mmer_jax.robustness import conditions, noisy_audio, results

SIZE = 32


@pytest.fixture(scope="module")
def recordings(tmp_path_factory, write_audio):
    """Sixteen short tones of two actors, at 24 kHz; anger is higher than fear."""
    folder, rng = tmp_path_factory.mktemp("tones"), np.random.default_rng(0)
    for i in range(16):
        angry, statement, repetition, actor = (1 + i // 2**bit % 2 for bit in range(4))
        tone = 0.3 * np.sin(2 * np.pi * 500 * angry * np.arange(12000) / 24000)
        name = f"03-01-{4 + angry:02d}-02-{statement:02d}-{repetition:02d}-{actor:02d}"
        write_audio(folder / f"{name}.wav", tone + 0.003 * rng.normal(size=12000), rate=24000)
    return folder


@pytest.fixture(scope="module")
def workdir(recordings, tmp_path_factory):
    """Workdir of the row `mel`, trained on the tones for two epochs."""
    from configs import ravdess_strong

    workdir = tmp_path_factory.mktemp("noisy") / "run"
    config = ravdess_strong.get_config()
    config.row, config.protocols = "mel", ("clip_random",)
    config.data.builder, config.data.emotions = "speech", ("anger", "fear")
    config.data.manual_dir, config.data.data_dir = str(recordings), str(workdir.parent / "data")
    config.data.size, config.model.filters, config.rows.mel.model.hidden = SIZE, (4, 8), (8,)
    config.epochs, config.measure_epochs, config.split.test_fraction = 2, (2,), 0.5
    config.run.tensorboard, config.run.workers = False, 1
    run_experiment(config, workdir)
    return workdir


@pytest.fixture(scope="module")
def record(workdir):
    return json.loads((workdir / "records.jsonl").read_text().splitlines()[-1])


@pytest.fixture(scope="module")
def data(workdir):
    (folder,) = workdir.parent.glob("data/ravdess/speech*/*/packs/*")
    return pack.open_pack(folder)


def compute_images(data, record, workdir, levels, indices, manual_dir=None):
    return noisy_audio.compute_images(
        data, record, workdir, manual_dir,
        indices=indices, corruption="noise", levels=levels, names=["mel"],
    )  # fmt: skip


def test_images_with_inaudible_noise_equal_the_packs(data, record, workdir):
    """Tests every version of the audio: noise is the only difference from packing."""
    indices = range(0, len(data), 7)
    assert set(data.table["audio_variant"][list(indices)]) >= {"original", "noise", "pitch_shift"}
    noisy = compute_images(data, record, workdir, [120.0], indices)
    for i in indices:
        stored = data.arrays["mel"][i].astype(int)
        assert np.abs(noisy[i, 120.0]["mel"] - stored).max() <= 1


def test_noise_is_added_to_the_audio_before_its_image_is_made(data, record, workdir, recordings):
    (i, *_) = np.flatnonzero(data.table["audio_variant"] == "original")
    clip = data.table["clip"][i]
    images = compute_images(data, record, workdir, [10.0, 0.0], [i])
    samples, rate = audio.read_audio(str(recordings / f"{clip}.wav"), None)
    waveform = soxr.resample(samples, rate, spectrogram.RATE, quality="HQ")
    white = conditions.make_rng(clip, "noise").standard_normal(len(waveform), np.float32)
    for level in (10.0, 0.0):
        noisy = waveform + white * np.sqrt(np.mean(waveform**2) / 10 ** (level / 10))
        large = spectrogram.mel_image(noisy, spectrogram.RATE)
        small = cv2.resize(large, (SIZE, SIZE), interpolation=cv2.INTER_AREA)[..., None]
        assert np.abs(images[i, level]["mel"] - small.astype(int)).max() <= 1
    # Away from the tone, more noise gives a brighter image.
    quiet = [np.median(p) for p in (data.arrays["mel"][i], *(f["mel"] for f in images.values()))]
    assert quiet == sorted(quiet) and quiet[0] < quiet[2]


def test_the_command_tests_on_noise(workdir, capsys):
    assert main([str(workdir), "--noise", "20", "-5"]) == 0
    out = capsys.readouterr().out
    assert "clip_random, noisy audio" in out and "-5 dB" in out
    lines = results.read_results(workdir)
    assert [(line["corruption"], line["level"]) for line in lines] == [
        ("none", None),
        ("noise", 20.0),
        ("noise", -5.0),
    ]
    folder = workdir / "predictions" / "robustness" / "mel-clip_random-fold0-seed0"
    probabilities = {
        path.stem: predictions.load(path).examples[2, "test"].probabilities
        for path in folder.iterdir()
    }
    assert set(probabilities) == {"none", "noise-20", "noise--5"}
    changes = [
        np.abs(probabilities["none"] - probabilities[name]).mean()
        for name in ("noise-20", "noise--5")
    ]
    assert 0 < changes[0] < changes[1]


def test_a_missing_build_is_reported(workdir, capsys, tmp_path):
    (built,) = workdir.parent.glob("data/ravdess/speech/*")
    built.rename(tmp_path / "away")
    try:
        assert main([str(workdir), "--noise", "7"]) == 2
        message = " ".join(capsys.readouterr().err.split())
        assert (
            "Repeat the command of the run to build them again" in message
            and "nothing is built in" in message
        )
    finally:
        (tmp_path / "away").rename(built)


def test_audio_of_other_builds_is_read_from_the_recordings(
    data, record, recordings, write_audio, tmp_path
):
    """A build of triplets stores images of the waveform, but not the waveform."""
    info = {**data.info, "builder_config": "triplets"}
    triplets = pack.Pack(tmp_path / "packs" / "32px", info, data.table, data.arrays)
    indices = np.flatnonzero(data.table["audio_variant"] == "original")[:3]
    noisy = compute_images(triplets, record, tmp_path, [120.0], indices)
    for i in indices:
        assert np.abs(noisy[i, 120.0]["mel"] - data.arrays["mel"][i].astype(int)).max() <= 1
    assert (tmp_path / "data" / "ravdess" / "speech").is_dir()

    lost = {**record, "config": {**record["config"]}}
    lost["config"]["data"] = {**record["config"]["data"], "manual_dir": None}
    with pytest.raises(errors.UserError, match=r"recordings is not known; name .*--manual_dir"):
        compute_images(triplets, lost, tmp_path, [0.0], indices)
    with pytest.raises(errors.UserError, match=r"recordings .*gone does not exist any more"):
        compute_images(triplets, lost, tmp_path, [0.0], indices, manual_dir=tmp_path / "gone")
    for path in recordings.iterdir():
        write_audio(tmp_path / "others" / path.name, 0.1 * np.ones(12000), rate=24000)
    with pytest.raises(errors.UserError, match="does not hold the audio of 3 of 3 tested clips"):
        compute_images(
            triplets, lost, tmp_path / "elsewhere", [0.0], indices, manual_dir=tmp_path / "others"
        )
