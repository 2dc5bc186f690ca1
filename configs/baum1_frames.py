"""Table 1: BAUM-1, single frames and the optical flow into them, every frame of every clip.

    python run.py --config=configs/baum1_frames.py --config.data.manual_dir=DIR             # all
    python run.py --config=configs/baum1_frames.py:face_acted --config.data.manual_dir=DIR  # a row

DIR holds both sets (tfds_builders/baum1/README.md says how). Rows: face_flow_acted, face_acted,
flow_acted, face_flow_spontaneous; face_vgg16_acted can be asked for: the network of figure 5, whose
20 minutes an epoch against 60 seconds led the paper to its small one (see `seconds_per_epoch`).

Neighboring frames are nearly one image: under `triplet_random`, the paper's way, a tested frame
has its neighbors in training.

What to expect: nothing was measured here, since BAUM-1 was not at hand.
"""

from configs import base

FIVE = ("anger", "disgust", "fear", "happiness", "sadness")
ACTED = {"dataset": "baum1_acted"}
SPONTANEOUS = {"dataset": "baum1_spontaneous", "emotions": (*FIVE, "surprise")}


def get_config(row: str = ""):
    """The config; `row` is what follows the colon of --config."""
    config = base.get_config()
    config.table = "table1_baum1_two_input"
    config.row = row
    rows = base.ROWS | base.ASIDES
    config.rows = {
        f"{name}_acted": {**rows[name], "data": ACTED}
        for name in ("face_flow", "face", "flow", "face_vgg16")
    } | {
        # Zhang et al. (2019) took six emotions, section 6.3.
        "face_flow_spontaneous": {**rows["face_flow"], "data": SPONTANEOUS, "paper": SPONTANEOUS}
    }
    config.table_rows = ("face_flow_acted", "face_acted", "flow_acted", "face_flow_spontaneous")
    config.data.dataset = "baum1_acted"
    config.data.builder = "frames"
    config.data.audio_variants = ()
    config.data.intensities = ()
    config.paper.dataset = "baum1_acted"
    config.paper.intensities = ()
    config.paper.accuracy = {
        "face_flow_acted": (0.7822, 0.7902, 0.803, 0.8223),
        "face_acted": (0.7739, 0.8229, 0.8378, 0.8589),
        "flow_acted": (0.556, 0.6297, 0.6088, 0.63),
        "face_flow_spontaneous": (0.83, 0.8218, 0.835, 0.846),
    }
    config.lock()
    return config
