"""Section 8: RAVDESS speech, normal intensity, all eight emotions.

    python run.py --config=configs/ravdess_normal_8class.py --config.data.manual_dir=DIR
    python run.py --config=configs/ravdess_normal_8class.py:mel --config.data.builder=speech ...

Row: face_mel, the paper's; every other one can be asked for. The paper prints the second number of
epochs as 0; 20 is meant.

What to expect: docs/results.md has what was measured, on which data, and how long it took.
"""

from configs import ravdess_normal


def get_config(row: str = ""):
    """The config; `row` is what follows the colon of --config."""
    config = ravdess_normal.get_config(row)
    config.unlock()
    config.table = "section8_ravdess_normal_8class"
    config.table_rows = ("face_mel",)
    config.data.emotions = (
        "neutral",
        "calm",
        "happiness",
        "sadness",
        "anger",
        "fear",
        "disgust",
        "surprise",
    )
    config.paper.emotions = config.data.emotions
    config.paper.accuracy = {"face_mel": (0.8424, 0.8787, 0.8898, 0.9162)}
    config.lock()
    return config
