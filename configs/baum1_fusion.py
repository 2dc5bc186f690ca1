"""Table 6: BAUM-1 acted, five emotions, three frames per clip, selected by a network.

    python run.py --config=configs/baum1_fusion.py --config.data.manual_dir=DIR \
        --config.data.build.frame_scores=scores.csv

docs/frame_selection.md explains where scores.csv comes from: hand-picked frames train the network
of configs/baum1_selector.py, which ranks all frames of the subjects that it has not seen. Without
such a list: --config.data.build.frame_choice=random (or uniform, or every_tenth, which section 7.3
rejects).

Rows: face_flow, flow_mel, face_mel, face_flow_mel. By name also face, flow, mel, and
face_mel_one_spectrogram, every frame of a clip with its original spectrogram (section 7.3 expects
it to do worse).

Time and expected score: not measured, since BAUM-1 was not at hand. The paper: 84.8 to 95.0%.
"""

from configs import base


def get_config(row: str = ""):
    """Returns the config; `row` is what follows the colon of --config."""
    config = base.get_baum1_config("triplets")
    config.table = "table6_baum1_fusion"
    config.row = row
    config.table_rows = ("face_flow", "flow_mel", "face_mel", "face_flow_mel")
    config.data.build.frame_choice = "scored"
    config.paper.accuracy = {
        "face_flow": (0.6187, 0.8224, 0.8412, 0.8477),
        "flow_mel": (0.7558, 0.8564, 0.8803, 0.8667),
        "face_mel": (0.7558, 0.9416, 0.9667, 0.95),
        "face_flow_mel": (0.8374, 0.9212, 0.9264, 0.9392),
    }
    config.lock()
    return config
