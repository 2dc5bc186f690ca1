"""The leakage ladder: one row under every protocol, from the paper's split to unseen speakers.

    python run.py --config=configs/leakage_ladder.py --config.data.manual_dir=DIR       # row mel
    python run.py --config=configs/leakage_ladder.py:face_mel --config.data.manual_dir=DIR

The rungs differ in what may be on both sides of the split: all networks train on equally many
speakers, recordings and examples, the fewest that any protocol has, and accuracies are per test
example (docs/protocols.md names what remains unequal). Of RAVDESS's actors 1 to 18: 312 examples of
130 recordings by 13 speakers. Between triplet_random and clip_random two things change, the shared
recordings and the audio of the test examples; clip_random_altered_sound changes only the first.
leave_one_actor_out, one network per subject, runs with one seed.

The report draws the ladder; `mmer figure ladder WORKDIR` draws it for a paper. For `mel` the audio
recordings suffice: --config.data.builder=speech. At other intensities:
--config.data.intensities=normal, or =normal,strong.

Time: 51 networks; at 64 pixels two minutes each on one CPU core. Expected score there, on the audio
of 18 actors: 91% under triplet_random, 69% under clip_random_altered_sound, 54% under actor_kfold
(docs/results.md).
"""

from configs import base
from mmer_jax.protocols import registry


def get_config(row: str = ""):
    """Returns the config; `row` is what follows the colon of --config."""
    config = base.get_config()
    config.table = "leakage_ladder"
    config.row = row
    config.table_rows = ("mel",)
    config.protocols = registry.LADDER
    config.seeds = (0, 1, 2)
    config.protocol_seeds.leave_one_actor_out = (0,)
    config.split.equal_training = registry.LADDER
    config.run.keep_params = False
    config.lock()
    return config
