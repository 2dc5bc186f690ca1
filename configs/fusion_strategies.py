"""How to join a face and a voice: learned jointly, or decided from two networks' posteriors.

    python run.py --config=configs/fusion_strategies.py --config.data.manual_dir=DIR
    python run.py --config=configs/fusion_strategies.py:attention,logistic ...

No table of the paper: the strategies that its introduction and section 4 speak of. Joint:
concatenation (the paper's), gated_sum, attention. Decision level, of the networks `face` and `mel`:
mean, product, maximum, majority; and fitted on out-of-fold posteriors of the training part:
weighted, logistic, linear_svm, rbf_svm, knn. Those networks are trained once and shared, and so are
the inner ones (three for each) that the fitted methods need. `flow` can be asked for too. Of two
networks, a majority is a mean wherever they disagree; to join three:

    --config.rows.majority.fusion.rows=face,flow,mel

On BAUM-1: --config.data.dataset=baum1_acted --config.data.intensities=acted

What to expect: nothing was measured on people's faces, since RAVDESS's video was not at hand.
"""

from configs import base

DECISIONS = (
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
OF = ("face", "mel")


def get_config(row: str = ""):
    """The config; `row` is what follows the colon of --config."""
    config = base.get_config()
    config.table = "fusion_strategies"
    config.row = row
    joint = base.ROWS["face_mel"]
    config.rows = {
        **{name: base.ROWS[name] for name in (*OF, "flow")},
        "concatenation": joint,
        **{
            name: {**joint, "model": {**base.FUSION, "name": name}}
            for name in ("gated_sum", "attention")
        },
        **{name: {"modalities": OF, "fusion": {"method": name, "rows": OF}} for name in DECISIONS},
    }
    config.table_rows = (*OF, "concatenation", "gated_sum", "attention", *DECISIONS)
    config.protocols = ("clip_random",)
    config.lock()
    return config
