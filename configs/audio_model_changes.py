"""Table 3: five changes to the starting model, on mel spectrograms.

    python run.py --config=configs/audio_model_changes.py --config.data.manual_dir=DIR     # BAUM-1
    python run.py --config=configs/audio_model_changes.py:change3 ...                       # a row

On RAVDESS's audio instead (Audio_Speech_Actors_01-24.zip is enough):

    --config.data.dataset=ravdess --config.data.intensities=strong

The changes add up ("change number 3 is an experiment that runs using also changes 1 and 2").
Change 5 has six poolings: below 64 pixels its last map is one pixel already, and is not pooled.

What to expect: docs/results.md has what was measured on RAVDESS's audio. BAUM-1 was not at hand.
"""

from configs import audio_representations

# Our reading of section 7.2, which gives neither filters nor the starting batch.
SMALL, LARGE = (16, 32, 64, 128), (32, 64, 128, 256, 512)
ROWS = {
    "start": {"model": {"filters": SMALL}, "batch_size": 32},
    "change1": {"model": {"filters": (*SMALL, 256)}, "batch_size": 32},
    "change2": {"model": {"filters": LARGE}, "batch_size": 32},
    "change3": {"model": {"filters": LARGE}, "batch_size": 30},
    "change4": {"model": {"filters": LARGE}, "batch_size": 50},
    "change5": {"model": {"filters": (*LARGE, 512)}, "batch_size": 30},
}


def get_config(row: str = ""):
    """The config; `row` is what follows the colon of --config."""
    config = audio_representations.get_config(row)
    config.unlock()
    config.table = "table3_mel_model_changes"
    start = config.rows.mel.to_dict()
    config.rows = {
        name: {**start, **changes, "model": {**start["model"], **changes["model"]}}
        for name, changes in ROWS.items()
    }
    config.table_rows = tuple(ROWS)
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
