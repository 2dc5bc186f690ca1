"""Section 7.4's frame selection: figure 6's network of the face alone, trained on picked frames.

    python run.py --config=configs/baum1_selector.py --config.data.manual_dir=DIR \
        --config.data.picked=picks.csv
    mmer frames score --workdir runs/baum1_selector --out scores.csv

docs/frame_selection.md explains where picks.csv comes from (`mmer frames sheets`, or `mmer frames
automatic`), and where scores.csv is used (configs/baum1_fusion.py). Without `picked` all frames
are used for training.

The networks of the five speaker-independent folds each rank the frames of the subjects that they
were not trained on; the paper's one network has seen the clips that it ranks. If the selected
frames are then used under actor_kfold, the subjects tested in a fold must have no part in the
selection of the others' frames: --config.split.leave_out_fold=0 keeps those of fold 0 out of
everything here.

Time and expected score: not measured, since BAUM-1 was not at hand. The paper gives no accuracy.
"""

from configs import base


def get_config(row: str = ""):
    """Returns the config; `row` is what follows the colon of --config."""
    config = base.get_baum1_config("frames")
    config.table = "baum1_selector"
    config.row = row
    config.rows = {"face": base.ROWS["face"]}
    config.table_rows = ("face",)
    config.protocols = ("actor_kfold",)
    config.data.audio_variants = ()
    config.lock()
    return config
