"""Table 4: the model of change 3 on the audio alone, with two and with four alterations of each.

    python run.py --config=configs/audio_augmentation.py --config.data.manual_dir=DIR      # BAUM-1
    python run.py --config=configs/audio_augmentation.py:augmented_x2 ...                   # a row

On RAVDESS's audio instead (Audio_Speech_Actors_01-24.zip is enough):

    --config.data.dataset=ravdess --config.data.intensities=strong

`triplet_random` divides after augmenting, as the paper's 516 samples suggest; every other protocol
keeps the versions of a clip on one side and tests on unaltered audio.

What to expect: docs/results.md has what was measured on RAVDESS's audio. BAUM-1 was not at hand.
"""

from configs import audio_model_changes

ROWS = {
    "original": ("original",),
    "augmented_x2": ("original", "noise", "pitch_shift"),
    "augmented_x4": ("original", "noise", "pitch_shift", "time_shift", "time_stretch"),
}


def get_config(row: str = ""):
    """The config; `row` is what follows the colon of --config."""
    config = audio_model_changes.get_config(row)
    config.unlock()
    config.table = "table4_mel_augmentation"
    model = config.rows.change3.to_dict()
    config.rows = {
        name: {**model, "data": {"audio_variants": variants}} for name, variants in ROWS.items()
    }
    config.table_rows = tuple(ROWS)
    config.paper.accuracy = {
        "original": (0.4964, 0.519, 0.6817, 0.7159),
        "augmented_x2": (0.5684, 0.8536, 0.9007, 0.8043),
        "augmented_x4": (0.84, 0.953, 0.9154, 0.9451),
    }
    config.lock()
    return config
