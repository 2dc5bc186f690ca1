"""Fusion of face and voice: intermediate fusion in one network, or late fusion of two networks.

    python run.py --config=configs/fusion_strategies.py --config.data.manual_dir=DIR
    python run.py --config=configs/fusion_strategies.py:attention,logistic ...

No table of the paper: the strategies that its introduction and section 4 describe. Intermediate
fusion: concatenation (the paper's), gated_sum, attention. Late fusion (decision level) of the
networks `face` and `mel`: mean, product, maximum, majority; and fitted on out-of-fold posteriors of
the training subset: weighted, logistic, linear_svm, rbf_svm, knn. The networks are trained once and
shared, and so are the inner networks (three for each) that the fitted methods need. `flow` can be
run by name. A majority of two networks is their mean wherever they disagree; to fuse three:

    --config.rows.majority.fusion.rows=face,flow,mel

On BAUM-1: --config.data.dataset=baum1_acted --config.data.intensities=acted

Time and expected score: not measured on real faces, since RAVDESS's video was not at hand.
"""

from configs import base

RULES = (
    "mean",
    "product",
    "maximum",
    "majority",
    "weighted",
    "logistic",
    "linear_svm",
    "rbf_svm",
    "knn",
)
NETWORKS = ("face", "mel")


def get_config(row: str = ""):
    """Returns the config; `row` is what follows the colon of --config."""
    config = base.get_config()
    config.table = "fusion_strategies"
    config.row = row
    joint = base.ROWS["face_mel"]
    config.rows = {
        **{name: base.ROWS[name] for name in (*NETWORKS, "flow")},
        "concatenation": joint,
        **{
            name: {**joint, "model": {**base.FUSION, "name": name}}
            for name in ("gated_sum", "attention")
        },
        **{
            name: {"modalities": NETWORKS, "fusion": {"method": name, "rows": NETWORKS}}
            for name in RULES
        },
    }
    config.table_rows = (*NETWORKS, "concatenation", "gated_sum", "attention", *RULES)
    config.protocols = ("clip_random",)
    config.lock()
    return config
