"""Table 8: RAVDESS speech, strong intensity, five emotions, three random frames per clip.

    python run.py --config=configs/ravdess_strong.py --config.data.manual_dir=DIR           # all
    python run.py --config=configs/ravdess_strong.py:face_mel --config.data.manual_dir=DIR  # a row

Rows: face, flow, mel, face_mel, face_flow_mel; by name also face_flow, flow_mel and those of
base.EXTRA_ROWS. For `mel` the audio recordings suffice: add --config.data.builder=speech.

Time: an epoch has 39 steps; on 2 CPU cores a step took 0.66 s for mel and 1.8 s for face_flow_mel
at 128 pixels, 0.18 s and 0.41 s at 64 (docs/performance.md): 17 to 47 minutes for 40 epochs of a
row at 128 pixels.
Expected score: mel at 64 pixels on the audio of 18 actors 95.4 and 94.0% (two seeds; the paper
94.4%), at 32 pixels 92.4 +- 1.6%; 62.5 +- 1.4% under actor_kfold (docs/results.md). Rows with faces
were not measured on real recordings.
"""

from configs import base


def get_config(row: str = ""):
    """Returns the config; `row` is what follows the colon of --config."""
    config = base.get_config()
    config.table = "table8_ravdess_strong"
    config.row = row
    config.table_rows = ("face", "flow", "mel", "face_mel", "face_flow_mel")
    config.data.intensities = ("strong",)
    config.paper.accuracy = {
        "face": (0.933, 0.9285, 0.9316, 0.9529),
        "flow": (0.7038, 0.7064, 0.7021, 0.7011),
        "mel": (0.7423, 0.9086, 0.9306, 0.9439),
        "face_mel": (0.9205, 0.9344, 0.952, 0.9595),
        "face_flow_mel": (0.9, 0.9289, 0.9366, 0.9359),
    }
    config.lock()
    return config
