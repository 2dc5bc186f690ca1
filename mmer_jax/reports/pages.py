"""Common parts of the HTML pages: templates, style, script and embedded files.

A page is a single file without external resources, and it is readable without JavaScript.
"""

import base64
import functools
import io
import wave
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import markupsafe
import numpy as np

from mmer_jax import modalities
from mmer_jax.evaluation import summary
from mmer_jax.utils import files


class Download(NamedTuple):
    """A file that is embedded in a page.

    Attributes:
      name: Name under which a browser saves the file.
      uri: Content of the file as a data URI.
    """

    name: str
    uri: str


def render(template: str, **values: Any) -> str:
    """Renders a page from a template.

    Args:
      template: File name of a .html.j2 template in this package.
      **values: Variables of the template, besides `style` and `script`.

    Returns:
      The page, as HTML.
    """
    page = _environment().get_template(template)
    return page.render(style=_read("report.css"), script=_read("report.js"), **values)


def write_page(path: Path, page: str) -> Path:
    """Writes a page atomically, so that a browser never loads an incomplete page.

    Args:
      path: Path of the page; its folder is created if it does not exist.
      page: The page, as HTML.

    Returns:
      `path`.
    """
    with files.atomic_write(path) as file:
        file.write(page)
    return path


def embed_download(name: str, text: str) -> Download:
    """Embeds a text file that a reader can save from the page.

    Args:
      name: Name of the file.
      text: Content of the file.
    """
    content = base64.b64encode(text.encode()).decode()
    return Download(name, f"data:application/json;base64,{content}")


def encode_wav(samples: np.ndarray, rate: int) -> str:
    """Encodes a waveform as the data URI of a WAV file.

    Args:
      samples: Mono waveform, int16 [n].
      rate: Sample rate in Hz.
    """
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.ascontiguousarray(samples, "<i2").tobytes())
    return "data:audio/wav;base64," + base64.b64encode(buffer.getvalue()).decode()


def _read(name: str) -> str:
    """Reads a text file of this package."""
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_read),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=summary.percent, title_of=get_title, brief=_brief, breakable=_breakable
    )
    environment.globals["percent"] = summary.percent
    return environment


def get_title(modality: str) -> str:
    """Returns the title of a modality; its name if the modality is not registered."""
    entry = modalities.MODALITIES.get(modality)
    return entry.title if entry else modality


def _breakable(name: str) -> markupsafe.Markup:
    """Allows a line break after each underscore of a name, for narrow screens."""
    return markupsafe.escape(name).replace("_", markupsafe.Markup("_<wbr>"))


def _brief(number: float) -> str:
    """Abbreviates a count: "36.0 million", "17.8 thousand", "512"."""
    for size, word in ((1e9, "billion"), (1e6, "million"), (1e3, "thousand")):
        if number >= size:
            return f"{number / size:.1f} {word}"
    return str(number)
