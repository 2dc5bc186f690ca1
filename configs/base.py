"""The common part of the table configs: the paper's networks as rows of the default config.

The fields and their defaults are in mmer_jax/config/schema.py. `rows` maps the name of a row to the
fields that it overrides; `table_rows` are the rows of the table. Any other row of the file can be
run by name: `--config=configs/FILE.py:ROW`.
"""

import ml_collections

from mmer_jax.config import schema

FIVE_EMOTIONS = schema.EMOTIONS
EIGHT_EMOTIONS = (
    *("neutral", "calm", "happiness", "sadness", "anger", "fear", "disgust", "surprise"),
)

# One input is figure 6, several are figure 8. Sections 6.2, 6.3 and 7.2.
ONE_INPUT = {"dropout_features": 0.25, "dropout_output": 0.4, "hidden": (2048, 1024)}
FUSION = {"dropout_features": 0.5, "dropout_output": 0.4, "hidden": (2048, 1024)}
# Table 5 counts two dense layers for the spectrogram alone: one hidden layer and the output.
AUDIO_ALONE = {**ONE_INPUT, "hidden": (2048,)}

ROWS = {
    "face": {"modalities": ("face",), "model": ONE_INPUT},
    "flow": {"modalities": ("flow",), "model": ONE_INPUT},
    "mel": {"modalities": ("mel",), "model": AUDIO_ALONE},
    "face_flow": {"modalities": ("face", "flow"), "model": FUSION},
    "face_mel": {"modalities": ("face", "mel"), "model": FUSION},
    "flow_mel": {"modalities": ("flow", "mel"), "model": FUSION},
    "face_flow_mel": {"modalities": ("face", "flow", "mel"), "model": FUSION},
}
# Experiments that the paper describes without a table: the network of figure 5 (section 6.2), one
# spectrogram for every frame of a clip (7.3), and a black background (section 3 suspects that the
# background matters).
EXTRA_ROWS = {
    "face_vgg16": {
        "modalities": ("face",),
        "model": {"name": "vgg16"},
        "optimizer": {"learning_rate": 1e-4},  # smaller for a deeper network; not searched
    },
    "face_mel_one_spectrogram": {**ROWS["face_mel"], "data": {"one_spectrogram": True}},
    "face_masked": {**ROWS["face"], "data": {"mask_background": True}},
    "face_mel_masked": {**ROWS["face_mel"], "data": {"mask_background": True}},
    # Not in the paper: for inputs that may be missing (docs/robustness.md).
    "face_mel_modality_dropout": {**ROWS["face_mel"], "augment": {"modality_dropout": 0.3}},
}

# The starting audio model of tables 2 and 3. Section 7.2: "four Convolutional layers, each of which
# is followed by a MaxPooling layer, of a Flatten layer, two Dense layers, a Dropout layer, and at
# last a softmax layer"; "the learning rate used is greater". There is one dropout and none before
# flattening. The widths of the dense layers and the dropout rate are those of figure 6, which the
# best model is said to equal; table 5 counts one dense layer less in a spectrogram network, and the
# row `mel` follows it. The paper gives neither filters nor rate: docs/results.md.
STARTING_AUDIO_MODEL = {
    "model": {**ONE_INPUT, "dropout_features": 0.0, "filters": (16, 32, 64, 128)},
    "batch_size": 32,
    "optimizer": {"learning_rate": 1e-3},
}


def get_config() -> ml_collections.ConfigDict:
    """Returns the schema's defaults with the paper's rows; unlocked."""
    config = schema.default_config()
    config.rows = ml_collections.ConfigDict(ROWS | EXTRA_ROWS)
    config.table_rows = tuple(ROWS)
    return config


def get_baum1_config(builder: str) -> ml_collections.ConfigDict:
    """Returns `get_config` for BAUM-1's acted set, which has one intensity.

    Args:
      builder: The builder config: triplets, frames or speech.
    """
    config = get_config()
    config.data.dataset = config.paper.dataset = "baum1_acted"
    config.data.intensities = config.paper.intensities = ()
    config.data.builder = builder
    return config
