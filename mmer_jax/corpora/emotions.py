"""The vocabulary of emotions that the codes and labels of all datasets map to."""

from mmer_jax import errors

# The canonical names, used in all code. Their order has no meaning: the order of classes is defined
# by a built set for its labels and by a config for its outputs.
EMOTIONS = (
    "anger",
    "boredom",
    "bothered",
    "calm",
    "concentrating",
    "contempt",
    "disgust",
    "fear",
    "happiness",
    "interest",
    "neutral",
    "sadness",
    "surprise",
    "thinking",
    "unsure",
)


def lookup(name: str) -> str:
    """Returns a canonical emotion name unchanged.

    Raises:
      UserError: If the name is not canonical; the message lists the known names.
    """
    if name not in EMOTIONS:
        raise errors.unknown("emotion", name, EMOTIONS)
    return name
