"""The vocabulary of emotions that the codes and labels of all datasets map to."""

from mmer_jax import errors

# The canonical names, used in all code. Their order has no meaning: the order of the classes is
# that of the label feature in a built dataset, and that of `data.emotions` in a config.
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
    """Checks that an emotion name is canonical; returns the name unchanged.

    Args:
      name: Name of an emotion.

    Raises:
      UserError: If `name` is not one of EMOTIONS; the message lists the known names.
    """
    if name not in EMOTIONS:
        raise errors.unknown("emotion", name, EMOTIONS)
    return name
