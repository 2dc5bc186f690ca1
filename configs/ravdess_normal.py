"""Table 7: RAVDESS speech, normal intensity, five emotions, three random frames a clip.

    python run.py --config=configs/ravdess_normal.py --config.data.manual_dir=DIR           # all
    python run.py --config=configs/ravdess_normal.py:face_mel --config.data.manual_dir=DIR  # a row

Rows: face, flow, mel, face_mel, face_flow_mel; face_flow and flow_mel can be asked for.
The audio alone is enough for `mel`: add --config.data.builder=speech.

What to expect: docs/results.md has what was measured, on which data, and how long it took.
"""

from configs import ravdess_strong


def get_config(row: str = ""):
    """The config; `row` is what follows the colon of --config."""
    config = ravdess_strong.get_config(row)
    config.unlock()
    config.table = "table7_ravdess_normal"
    config.data.intensities = ("normal",)
    config.paper.intensities = ("normal",)
    config.paper.accuracy = {
        "face": (0.8922, 0.91, 0.926, 0.9377),
        "flow": (0.6642, 0.6739, 0.6851, 0.6953),
        "mel": (0.6642, 0.8375, 0.833, 0.8623),
        "face_mel": (0.7914, 0.8378, 0.8468, 0.9014),
        "face_flow_mel": (0.7955, 0.8934, 0.9146, 0.9127),
    }
    config.lock()
    return config
