"""A small complete experiment on rendered clips: what `make demo` runs.

    python run.py --config=configs/demo.py

Renders talking heads, builds the dataset with the real builder, trains three rows and writes the
report, everything under runs/demo/.

Time: 2 to 5 minutes on 2 CPU cores. Expected score: 60 to 75% per clip for one input and 93% for
three, chance 20%. Numbers on rendered clips say nothing about emotion recognition.
"""

from configs import base


def get_config(row: str = ""):
    """Returns the config; `row` is what follows the colon of --config."""
    config = base.get_config()
    config.table = "demo"
    config.row = row
    config.table_rows = ("face", "mel", "face_flow_mel")
    config.protocols = ("clip_random",)
    # 5 actors x 5 emotions x 2 intensities x 2 statements x 2 repetitions: 200 clips, 40 to test.
    config.data.rendered = {"enabled": True, "actors": 5, "seed": 0}
    config.data.intensities = ("normal", "strong")
    config.data.size = 48
    config.epochs = 10
    config.measure_epochs = (5, 10)
    config.lock()
    return config
