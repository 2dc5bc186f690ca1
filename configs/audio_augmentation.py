"""Table 4: the model of change 3 on the audio alone, with two and with four altered versions.

    python run.py --config=configs/audio_augmentation.py --config.data.manual_dir=DIR      # BAUM-1
    python run.py --config=configs/audio_augmentation.py:augmented_x2 ...                   # a row

On the audio of RAVDESS instead (Audio_Speech_Actors_01-24.zip suffices):

    --config.data.dataset=ravdess --config.data.intensities=strong

`triplet_random` splits after the augmentation, as the paper's 516 samples suggest; every other
protocol keeps the versions of a clip on one side and tests on the original audio.

Time: one to five minutes per network on 2 CPU cores at 32 pixels. Expected score: on the audio of
18 actors of RAVDESS at 32 pixels 67.6, 89.2 and 90.2% for the three rows under triplet_random,
70.4, 72.2 and 72.2% under clip_random (three seeds, docs/results.md; measured with one hidden dense
layer and another dropout before flattening). BAUM-1 was not at hand.
"""

from configs import base

ROWS = {
    "original": ("original",),
    "augmented_x2": ("original", "noise", "pitch_shift"),
    "augmented_x4": ("original", "noise", "pitch_shift", "time_shift", "time_stretch"),
}


def get_config(row: str = ""):
    """Returns the config; `row` is what follows the colon of --config."""
    config = base.get_baum1_config("speech")
    config.table = "table4_mel_augmentation"
    config.row = row
    start = base.STARTING_AUDIO_MODEL
    change3 = {
        "modalities": ("mel",),
        **start,
        "model": {**start["model"], "filters": (32, 64, 128, 256, 512)},
        "batch_size": 30,
    }
    config.rows = {
        name: {**change3, "data": {"audio_variants": variants}} for name, variants in ROWS.items()
    }
    config.table_rows = tuple(ROWS)
    config.paper.accuracy = {
        "original": (0.4964, 0.519, 0.6817, 0.7159),
        "augmented_x2": (0.5684, 0.8536, 0.9007, 0.8043),
        "augmented_x4": (0.84, 0.953, 0.9154, 0.9451),
    }
    config.lock()
    return config
