"""Trained on one dataset and tested on the other, in both directions, five shared emotions.

    python run.py --config=configs/cross_dataset.py \
        --config.sets.ravdess.manual_dir=DIR1 --config.sets.baum1_acted.manual_dir=DIR2

Section 9 speaks of "a dramatic drop in performance" and gives no number. RAVDESS's strong intensity
is paired with BAUM-1's acted set, as in section 7.5.

Rows: face, flow, mel, face_mel, face_flow_mel (and face_flow, flow_mel), each followed by
_ravdess_to_baum1 or _baum1_to_ravdess. Everything is tested on all clips of the other set.

Time and expected score: not measured, since BAUM-1 was not at hand.
"""

import ml_collections
from ml_collections.config_dict import placeholder

from configs import base

INTENSITIES = {"ravdess": ("strong",), "baum1_acted": ()}
TABLE_ROWS = ("face", "flow", "mel", "face_mel", "face_flow_mel")


def get_config(row: str = ""):
    """Returns the config; `row` is what follows the colon of --config."""
    config = base.get_config()
    config.table = "cross_dataset"
    config.row = row
    # Location of each dataset; either may be the one to train on.
    config.sets = ml_collections.ConfigDict()
    for name in INTENSITIES:
        places = {"manual_dir": placeholder(str), "data_dir": placeholder(str)}
        config.sets[name] = {**places, "pack": placeholder(str), "rendered": {"enabled": False}}
    config.rows = {}
    for first, second in (("ravdess", "baum1_acted"), ("baum1_acted", "ravdess")):
        direction = f"{first}_to_{second}".replace("_acted", "")
        for name, fields in base.ROWS.items():
            config.rows[f"{name}_{direction}"] = {
                **fields,
                "data": _side(config, first),
                "test_data": _side(config, second),
            }
    config.table_rows = tuple(
        f"{name}_{direction}"
        for direction in ("ravdess_to_baum1", "baum1_to_ravdess")
        for name in TABLE_ROWS
    )
    config.protocols = ("cross_dataset",)
    config.lock()
    return config


def _side(config, name: str) -> dict:
    places = {
        field: config.sets[name].get_ref(field) for field in ("manual_dir", "data_dir", "pack")
    }
    return {"dataset": name, "intensities": INTENSITIES[name], **places}
