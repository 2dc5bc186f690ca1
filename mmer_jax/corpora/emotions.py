"""The one vocabulary of emotions that every data set's codes and words map onto."""

from mmer_jax import errors

# All code speaks of an emotion by its name here, and their order
# carries no meaning: a built set has its own labels, a config its own classes.
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
    """The canonical emotion of that name.

    Raises:
      UserError: for any other name; the message lists the known ones.
    """
    if name not in EMOTIONS:
        raise errors.unknown("emotion", name, EMOTIONS)
    return name
