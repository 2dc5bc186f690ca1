"""Table 8: RAVDESS speech, strong intensity, five emotions, three random frames a clip.

    python run.py --config=configs/ravdess_strong.py --config.data.manual_dir=DIR           # all
    python run.py --config=configs/ravdess_strong.py:face_mel --config.data.manual_dir=DIR  # a row

Rows: face, flow, mel, face_mel, face_flow_mel; face_flow and flow_mel can be asked for.
The audio alone is enough for `mel`: add --config.data.builder=speech.

What to expect: docs/results.md has what was measured, on which data, and how long it took.
"""

from configs import base


def get_config(row: str = ""):
    """The config; `row` is what follows the colon of --config."""
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
