"""Table 2: six images of a waveform, each alone, with the four-convolution starting model.

    python run.py --config=configs/audio_representations.py --config.data.manual_dir=DIR   # BAUM-1
    python run.py --config=configs/audio_representations.py:mel ...                         # a row

On RAVDESS's audio instead (Audio_Speech_Actors_01-24.zip is enough):

    --config.data.dataset=ravdess --config.data.intensities=strong

Rows: waveform, spectral_centroid, spectral_bandwidth, chromagram, spectrogram, mel; each can also
be asked for as matplotlib plots it, which the paper's images are: waveform_plot, ..., mel_plot.

What to expect: docs/results.md has what was measured on RAVDESS's audio. BAUM-1 was not at hand.
"""

from configs import base

REPRESENTATIONS = (
    "waveform",
    "spectral_centroid",
    "spectral_bandwidth",
    "chromagram",
    "spectrogram",
    "mel",
)
# Section 7.2: "four Convolutional layers", "the learning rate used is greater". Filters and batch
# are not given, nor is the rate: docs/results.md says how this one was chosen.
STARTING_MODEL = {
    "model": {**base.AUDIO_ALONE, "filters": (16, 32, 64, 128)},
    "batch_size": 32,
    "optimizer": {"learning_rate": 1e-3},
}


def get_config(row: str = ""):
    """The config; `row` is what follows the colon of --config."""
    config = base.get_config()
    config.table = "table2_audio_representations"
    config.row = row
    config.rows = {
        name: {"modalities": (name,), **STARTING_MODEL}
        for name in (*REPRESENTATIONS, *(f"{name}_plot" for name in REPRESENTATIONS))
    }
    config.table_rows = REPRESENTATIONS
    config.data.dataset = "baum1_acted"
    config.data.intensities = ()
    config.data.builder = "speech"
    config.data.audio_variants = ("original",)
    config.paper.dataset = "baum1_acted"
    config.paper.intensities = ()
    config.paper.accuracy = {
        "waveform": (0.3041, 0.4141, 0.42, 0.40),
        "spectral_centroid": (0.2693, 0.3083, 0.45, 0.43),
        "spectral_bandwidth": (0.2951, 0.3076, 0.3261, 0.3427),
        "chromagram": (0.2225, 0.3386, 0.48, 0.3965),
        "spectrogram": (0.3011, 0.3314, 0.3371, 0.3371),
        "mel": (0.4, 0.5537, 0.6096, 0.5721),
    }
    config.lock()
    return config
