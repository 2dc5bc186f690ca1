"""What the pages share: templates, style, script, and files within the page itself.

A page is one file that opens anywhere: nothing is fetched, and without JavaScript it still reads.
"""

import base64
import functools
import io
import os
import wave
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import markupsafe
import numpy as np

from mmer_jax import modalities
from mmer_jax.evaluation import summary


class Download(NamedTuple):
    """A file within the page: the name it is saved under, and its address."""

    name: str
    uri: str


def render(template: str, **values: Any) -> str:
    """A page from one of the .html.j2 files beside this module."""
    page = _environment().get_template(template)
    return page.render(style=_text("report.css"), script=_text("report.js"), **values)


def write(path: Path, page: str) -> Path:
    """Writes a page in one step: a browser that reloads never sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.tmp")
    unfinished.write_text(page, encoding="utf-8")
    os.replace(unfinished, path)
    return path


def download(name: str, text: str) -> Download:
    """A text file to save from the page."""
    content = base64.b64encode(text.encode()).decode()
    return Download(name, f"data:application/json;base64,{content}")


def audio_data_uri(samples: np.ndarray, rate: int) -> str:
    """A waveform as the address of an <audio>: int16 [n], mono, as a WAV inside the page."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.ascontiguousarray(samples, "<i2").tobytes())
    return "data:audio/wav;base64," + base64.b64encode(buffer.getvalue()).decode()


def _text(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_text),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=summary.percent, title_of=title_of, brief=_brief, breakable=_breakable
    )
    return environment


def title_of(modality: str) -> str:
    """How people call a modality; its name, if this version doesn't know it."""
    known = modalities.MODALITIES.get(modality)
    return known.title if known else modality


def _breakable(name: str) -> markupsafe.Markup:
    """A name that a narrow screen may break after an underscore."""
    return markupsafe.escape(name).replace("_", markupsafe.Markup("_<wbr>"))


def _brief(number: float) -> str:
    """A count for people: 36.0 million, 17.8 thousand, 512."""
    for size, word in ((1e9, "billion"), (1e6, "million"), (1e3, "thousand")):
        if number >= size:
            return f"{number / size:.1f} {word}"
    return str(number)
