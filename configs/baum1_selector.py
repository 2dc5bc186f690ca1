"""Section 7.4's frame selector: figure 6's network of the face alone, trained on picked frames.

    python run.py --config=configs/baum1_selector.py --config.data.manual_dir=DIR \
        --config.data.picked=picks.csv
    mmer frames score --workdir runs/baum1_selector --out scores.csv

docs/frame_selection.md says where picks.csv comes from (`mmer frames sheets`, or
`automatic`), and where scores.csv goes to (configs/baum1_fusion.py). Without `picked` all frames
train.

The networks of the five folds of whole subjects each rank the frames of subjects that they were not
trained on; the paper's one network has seen the clips that it ranks. If the chosen frames are then
used under actor_kfold, the subjects tested in a fold must have no part in choosing the others'
frames: --config.split.leave_out_fold=0 keeps those of fold 0 out of everything here.

What to expect: the paper gives no accuracy for this network. Nothing was measured here, since
BAUM-1 was not at hand.
"""

from configs import base


def get_config(row: str = ""):
    """The config; `row` is what follows the colon of --config."""
    config = base.get_config()
    config.table = "baum1_selector"
    config.row = row
    config.rows = {"face": base.ROWS["face"]}
    config.table_rows = ("face",)
    config.protocols = ("actor_kfold",)
    config.data.dataset = "baum1_acted"
    config.data.builder = "frames"
    config.data.audio_variants = ()
    config.data.intensities = ()
    config.paper.dataset = "baum1_acted"
    config.paper.intensities = ()
    config.lock()
    return config
