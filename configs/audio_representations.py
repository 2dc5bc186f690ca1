"""Table 2: six image representations of the audio, each alone, with the starting audio model.

    python run.py --config=configs/audio_representations.py --config.data.manual_dir=DIR   # BAUM-1
    python run.py --config=configs/audio_representations.py:mel ...                         # a row

On the audio of RAVDESS instead (Audio_Speech_Actors_01-24.zip suffices):

    --config.data.dataset=ravdess --config.data.intensities=strong

Rows: waveform, spectral_centroid, spectral_bandwidth, chromagram, spectrogram, mel; by name also
each as matplotlib plots it, like the paper's images: waveform_plot, ..., mel_plot.

Time: a minute or two per network on 2 CPU cores at 32 pixels. Expected score: on the audio of 18
actors of RAVDESS at 32 pixels mel 73.1 +- 2.1%, spectrogram 67.6 +- 5.3%, the others 44 to 57%
(three seeds, docs/results.md; measured with one hidden dense layer and another dropout before
flattening). BAUM-1 was not at hand.
"""

from configs import base

REPRESENTATIONS = (
    *("waveform", "spectral_centroid", "spectral_bandwidth", "chromagram", "spectrogram", "mel"),
)


def get_config(row: str = ""):
    """Returns the config; `row` is what follows the colon of --config."""
    config = base.get_baum1_config("speech")
    config.table = "table2_audio_representations"
    config.row = row
    config.rows = {
        name: {"modalities": (name,), **base.STARTING_AUDIO_MODEL}
        for name in (*REPRESENTATIONS, *(f"{name}_plot" for name in REPRESENTATIONS))
    }
    config.table_rows = REPRESENTATIONS
    config.data.audio_variants = ("original",)
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
