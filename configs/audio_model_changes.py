"""Table 3: five changes to the starting audio model, on mel spectrograms.

    python run.py --config=configs/audio_model_changes.py --config.data.manual_dir=DIR     # BAUM-1
    python run.py --config=configs/audio_model_changes.py:change3 ...                       # a row

On the audio of RAVDESS instead (Audio_Speech_Actors_01-24.zip suffices):

    --config.data.dataset=ravdess --config.data.intensities=strong

The changes add up ("change number 3 is an experiment that runs using also changes 1 and 2").
Change 5 has six poolings: below 64 pixels its last feature map is one pixel already and is not
pooled.

Time: one to three minutes per network on 2 CPU cores at 32 pixels. Expected score: on the audio of
18 actors of RAVDESS at 32 pixels 66 to 73% for every row (three seeds, docs/results.md; measured
with one hidden dense layer and another dropout before flattening). BAUM-1 was not at hand.
"""

from configs import base

# Our reading of section 7.2, which gives neither filters nor the first batch size.
SMALL, LARGE = (16, 32, 64, 128), (32, 64, 128, 256, 512)
ROWS = {
    "start": {"filters": SMALL, "batch_size": 32},
    "change1": {"filters": (*SMALL, 256), "batch_size": 32},
    "change2": {"filters": LARGE, "batch_size": 32},
    "change3": {"filters": LARGE, "batch_size": 30},
    "change4": {"filters": LARGE, "batch_size": 50},
    "change5": {"filters": (*LARGE, 512), "batch_size": 30},
}


def get_config(row: str = ""):
    """Returns the config; `row` is what follows the colon of --config."""
    config = base.get_baum1_config("speech")
    config.table = "table3_mel_model_changes"
    config.row = row
    start = {"modalities": ("mel",), **base.STARTING_AUDIO_MODEL}
    config.rows = {
        name: {
            **start,
            "model": {**start["model"], "filters": change["filters"]},
            "batch_size": change["batch_size"],
        }
        for name, change in ROWS.items()
    }
    config.table_rows = tuple(ROWS)
    config.data.audio_variants = ("original",)
    config.paper.accuracy = {
        "start": (0.40, 0.5537, 0.6096, 0.5721),
        "change1": (0.35, 0.50, 0.44, 0.44),
        "change2": (0.3741, 0.6287, 0.608, 0.6833),
        "change3": (0.4964, 0.519, 0.6817, 0.7159),
        "change4": (0.2348, 0.4871, 0.3401, 0.6950),
        "change5": (0.1761, 0.4021, 0.4524, 0.5677),
    }
    config.lock()
    return config
