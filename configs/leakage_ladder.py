"""The leakage ladder: one row under every protocol, from the paper's split to people kept apart.

    python run.py --config=configs/leakage_ladder.py --config.data.manual_dir=DIR       # row mel
    python run.py --config=configs/leakage_ladder.py:face_mel --config.data.manual_dir=DIR

Rungs differ in nothing but what may be on both sides of the split: all networks of a seed train on
equally many examples, as many as the smallest training part has (half of all: statement_disjoint
trains on one of two sentences). Between triplet_random and clip_random two things change, shared
recordings and the audio that is tested; clip_random_altered_sound has the second as the first has
it. leave_one_actor_out, a network for each person, runs with one seed.

With half of the examples in training, a tested one has a sibling of its clip there with probability
0.75 under triplet_random, not the paper's 0.96: the ladder shows less of the leak than there is.

The report draws the ladder; `mmer figure ladder WORKDIR` draws it for a paper. The
audio alone is enough for `mel`: --config.data.builder=speech. At other intensities:
--config.data.intensities=normal, or =normal,strong.

What to expect: docs/results.md has what was measured, on which data, and how long it took.
"""

from configs import base

# From everything shared between training and test to unseen speakers: protocols.registry.LADDER.
PROTOCOLS = (
    "triplet_random",
    "clip_random_altered_sound",
    "clip_random",
    "take_grouped",
    "statement_disjoint",
    "actor_kfold",
    "leave_one_actor_out",
)


def get_config(row: str = ""):
    """The config; `row` is what follows the colon of --config."""
    config = base.get_config()
    config.table = "leakage_ladder"
    config.row = row
    config.table_rows = ("mel",)
    config.protocols = PROTOCOLS
    config.seeds = (0, 1, 2)
    config.protocol_seeds.leave_one_actor_out = (0,)
    config.split.equal_training = PROTOCOLS
    config.run.keep_params = False
    config.lock()
    return config
