"""A recipe for unseen speakers: the audio of RAVDESS alone, speaker-independent (actor_kfold).

    C=configs/ravdess_unseen_speakers.py
    python run.py --config=$C --config.data.manual_dir=DIR    # 8 emotions
    python run.py --config=$C --config.data.manual_dir=DIR \
        --config.data.emotions=anger,disgust,fear,happiness,sadness    # 5

Rows:

* `inductive`, the recipe: a test clip is classified from the clip alone.
* `transductive`, the same normalized per speaker: it also reads all other test recordings of the
  clip's speaker, without their labels. RAVDESS has as many of each emotion from every speaker, and
  this balance is used (docs/protocols.md). It answers another question than `inductive`.
* `paper`, the network of the spectrogram alone with the paper's training; inductive.
* `wide` and those that begin with it are candidates for the next recipe, inductive.
* All others are ablations of `inductive`: the recipe without one ingredient.

The recipe was chosen on validation actors without reading the test folds, as every change of it
should be:

    python run.py --config=$C:inductive,no_mixup --config.folds=0,1 \
        --config.split.tested=validation --config.split.validation_fraction=0.25 ...

The spectrogram `mel_level` keeps loudness and speaking rate, which the paper's spectrogram, scaled
to its own peak and length, loses. Its 128 pixels are read in patches of four, so that they cost as
much as 32 pixels; the network has 0.4 million parameters.

Time: not recorded. Expected score of `transductive` on the audio of 18 actors, seed 0: 63.8% (95%
interval 58.1 to 69.0) over eight emotions, 70.0% over five (docs/results.md). `inductive` was
measured on validation actors only, 5 points below `transductive`.
"""

from configs import base

RECIPE = {
    "modalities": ("mel_level",),
    "data": {
        "audio_variants": ("original", "noise", "pitch_shift", "time_shift", "time_stretch"),
    },
    "model": {
        "patch": 4,
        "filters": (32, 64, 128, 256),
        "normalization": "group",
        "pooling": "average_max",
        "hidden": (),
        "dropout_features": 0.0,
        "dropout_output": 0.4,
    },
    "input": {"normalization": "global"},
    "augment": {
        "time_shift": 0.1,
        "time_masks": 1,
        "time_width": 0.2,
        "frequency_masks": 1,
        "frequency_width": 0.2,
        "mixup": 0.2,
    },
    "loss": {"label_smoothing": 0.1},
    "optimizer": {
        "name": "adamw",
        "learning_rate": 2e-3,
        "weight_decay": 0.02,
        "schedule": "cosine",
        "warmup_epochs": 3,
        "ema_decay": 0.99,
    },
}


def without(changes: dict, **fields) -> dict:
    """Returns the recipe with some sections' fields changed, or with other top-level fields."""
    row = {name: dict(v) if isinstance(v, dict) else v for name, v in RECIPE.items()}
    for section, values in changes.items():
        row[section] |= values
    return row | fields


# Candidates for the next recipe: another voice, room and microphone in every step of training, a
# network of a quarter of the size, and longer training.
WIDE = without(
    {
        "model": {"filters": (16, 32, 64, 128)},
        "augment": {
            "time_stretch": 0.2,
            "frequency_stretch": 0.1,
            "frequency_shift": 0.03,
            "gain": 0.06,
            "equalization": 0.12,
            "noise_floor": 0.25,
            "mixup": 0.0,
        },
        "optimizer": {"learning_rate": 4e-3},
    },
    epochs=60,
    measure_epochs=(20, 40, 60),
)
CANDIDATES = {
    "wide": WIDE,
    # The level relative to the clip's own peak, and the whole duration, as a second input.
    "wide_relative": {**WIDE, "modalities": ("mel", "mel_level")},
    "wide_large": {**WIDE, "model": RECIPE["model"]},
    "wide_mixup": {**WIDE, "augment": {**WIDE["augment"], "mixup": 0.2}},
}

TRANSDUCTIVE = without({"input": {"normalization": "per_speaker"}})

ABLATION = {
    "paper_image": without({}, modalities=("mel",)),
    "unit_range": without({"input": {"normalization": "unit"}}),
    "no_specaugment": without({"augment": {"time_masks": 0, "frequency_masks": 0}}),
    "no_shift": without({"augment": {"time_shift": 0.0}}),
    "no_mixup": without({"augment": {"mixup": 0.0}}),
    "no_smoothing": without({"loss": {"label_smoothing": 0.0}}),
    "constant_adam": without(
        {
            "optimizer": {
                "name": "adam",
                "learning_rate": 1e-3,
                "weight_decay": 0.0,
                "schedule": "constant",
                "warmup_epochs": 0,
            }
        }
    ),
    "no_averaging": without({"optimizer": {"ema_decay": 0.0}}),
    "flattened": without({"model": {"pooling": "flatten"}}),
    "no_layer_norm": without({"model": {"normalization": ""}}),
    "original_audio": without({"data": {"audio_variants": ("original",)}}),
}


def get_config(row: str = ""):
    """Returns the config; `row` is what follows the colon of --config."""
    config = base.get_config()
    config.table = "ravdess_unseen_speakers"
    config.row = row
    config.rows = {
        "inductive": RECIPE,
        "transductive": TRANSDUCTIVE,
        "paper": base.ROWS["mel"],
        **CANDIDATES,
        **ABLATION,
    }
    config.table_rows = ("inductive", "transductive", "paper")
    config.protocols = ("actor_kfold",)
    config.seeds = (0, 1, 2)
    config.data.builder = "speech"
    config.data.emotions = base.EIGHT_EMOTIONS
    config.data.intensities = ()
    config.epochs = 30
    config.measure_epochs = (10, 20, 30)
    config.lock()
    return config
