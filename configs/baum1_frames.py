"""Table 1: BAUM-1, single frames and the optical flow into them, every frame of every clip.

    python run.py --config=configs/baum1_frames.py --config.data.manual_dir=DIR             # all
    python run.py --config=configs/baum1_frames.py:face_acted --config.data.manual_dir=DIR  # a row

DIR holds both sets (tfds_builders/baum1/README.md). Rows: face_flow_acted, face_acted, flow_acted,
face_flow_spontaneous; by name also face_vgg16_acted, the network of figure 5, whose 20 minutes per
epoch against 60 seconds led the paper to its small one (see `seconds_per_epoch` in the records).

Neighboring frames are nearly one image: under `triplet_random`, the paper's way, a test frame has
its neighbors in training.

Time and expected score: not measured, since BAUM-1 was not at hand. The paper: 63.0 to 85.9%.
"""

from configs import base

ACTED = {"dataset": "baum1_acted"}
# Zhang et al. (2019) took six emotions, section 6.3.
SPONTANEOUS = {"dataset": "baum1_spontaneous", "emotions": (*base.FIVE_EMOTIONS, "surprise")}


def get_config(row: str = ""):
    """Returns the config; `row` is what follows the colon of --config."""
    config = base.get_baum1_config("frames")
    config.table = "table1_baum1_two_input"
    config.row = row
    rows = base.ROWS | base.EXTRA_ROWS
    config.rows = {
        f"{name}_acted": {**rows[name], "data": ACTED}
        for name in ("face_flow", "face", "flow", "face_vgg16")
    } | {"face_flow_spontaneous": {**rows["face_flow"], "data": SPONTANEOUS, "paper": SPONTANEOUS}}
    config.table_rows = ("face_flow_acted", "face_acted", "flow_acted", "face_flow_spontaneous")
    config.data.audio_variants = ()
    config.paper.accuracy = {
        "face_flow_acted": (0.7822, 0.7902, 0.803, 0.8223),
        "face_acted": (0.7739, 0.8229, 0.8378, 0.8589),
        "flow_acted": (0.556, 0.6297, 0.6088, 0.63),
        "face_flow_spontaneous": (0.83, 0.8218, 0.835, 0.846),
    }
    config.lock()
    return config
