"""A recipe for people that the network has never met: sound alone, RAVDESS, under actor_kfold.

python run.py --config=configs/ravdess_honest.py --config.data.manual_dir=DIR           # 8 emotions
python run.py --config=configs/ravdess_honest.py:paper,honest ...                       # rows
"""

from configs import base

# A mel spectrogram's network with global pooling; about a fiftieth of figure 6's parameters.
RECIPE = {
    "modalities": ("mel",),
    "model": {
        "filters": (16, 32, 64, 128, 256),
        "hidden": (),
        "head": "average_max",
        "normalisation": "group",
        "dropout_features": 0.0,
        "dropout_output": 0.4,
    },
    "input": {"normalisation": "per_speaker"},
    "augment": {
        "time_masks": 2,
        "time_width": 0.2,
        "frequency_masks": 2,
        "frequency_width": 0.2,
        "mixup": 0.3,
    },
    "loss": {"label_smoothing": 0.1},
    "optimizer": {
        "name": "adamw",
        "learning_rate": 1e-3,
        "weight_decay": 0.02,
        "schedule": "cosine",
        "warmup_epochs": 3,
        "average": 0.99,
    },
    "data": {
        "audio_variants": ("original", "noise", "pitch_shift", "time_shift", "time_stretch"),
    },
}
EMOTIONS = (
    "neutral",
    "calm",
    "happiness",
    "sadness",
    "anger",
    "fear",
    "disgust",
    "surprise",
)


def _without(**changes):
    """The recipe with some fields as they are without an ingredient."""
    row = {part: dict(v) if isinstance(v, dict) else v for part, v in RECIPE.items()}
    for field, value in changes.items():
        part, name = field.split("__")
        row[part][name] = value
    return row


ROWS = {
    "honest": RECIPE,
    "paper": base.ROWS["mel"],
    "global_standard": _without(input__normalisation="global"),
    "no_standard": _without(input__normalisation="unit"),
    "no_specaugment": _without(augment__time_masks=0, augment__frequency_masks=0),
    "no_mixup": _without(augment__mixup=0.0),
    "no_smoothing": _without(loss__label_smoothing=0.0),
    "plain_adam": _without(
        optimizer__name="adam",
        optimizer__weight_decay=0.0,
        optimizer__schedule="constant",
        optimizer__warmup_epochs=0,
    ),
    "no_averaging": _without(optimizer__average=0.0),
    "flattened": _without(model__head="flatten", model__dropout_features=0.25),
    "no_layer_norm": _without(model__normalisation=""),
    "three_sounds": _without(data__audio_variants=("original", "noise", "pitch_shift")),
    "original_sound": _without(data__audio_variants=("original",)),
}


def get_config(row: str = ""):
    """The config; `row` is what follows the colon of --config."""
    config = base.get_config()
    config.table = "ravdess_honest"
    config.row = row
    config.rows = ROWS
    config.table_rows = ("paper", "honest")
    config.protocols = ("actor_kfold",)
    config.seeds = (0, 1, 2)
    config.data.builder = "speech"
    config.data.emotions = EMOTIONS
    config.data.intensities = ()
    config.measure_epochs = ()
    config.lock()
    return config
