"""Section 8: RAVDESS speech, normal intensity, all eight emotions.

    python run.py --config=configs/ravdess_normal_8class.py --config.data.manual_dir=DIR
    python run.py --config=configs/ravdess_normal_8class.py:mel --config.data.builder=speech ...

Row: face_mel, the paper's; every other row can be run by name. The paper prints the second number
of epochs as 0; 20 is meant.

Time: 62 steps per epoch, each as in configs/ravdess_strong.py. Expected score: mel at 32 pixels on
the audio of 18 actors 79.4 +- 2.4% (three seeds), 55.7 +- 2.6% under clip_random (docs/results.md).
face_mel was not measured on real recordings.
"""

from configs import base


def get_config(row: str = ""):
    """Returns the config; `row` is what follows the colon of --config."""
    config = base.get_config()
    config.table = "section8_ravdess_normal_8class"
    config.row = row
    config.table_rows = ("face_mel",)
    config.data.intensities = config.paper.intensities = ("normal",)
    config.data.emotions = config.paper.emotions = base.EIGHT_EMOTIONS
    config.paper.accuracy = {"face_mel": (0.8424, 0.8787, 0.8898, 0.9162)}
    config.lock()
    return config
