"""The vocabulary of docs/architecture.md: words with a standard term are not used in its place."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = [*(ROOT / "mmer_jax").rglob("*.py"), *(ROOT / "configs").glob("*.py"), ROOT / "run.py"]

# Word that is not used, in identifiers and docstrings -> the term that is.
REPLACED = {
    "picture": "image",
    "pictures": "images",
    "sound": "audio, waveform",
    "sounds": "audio, waveforms",
    "heard": "audio",
    "told": "the thing itself: metrics, records, ...",
    "said": "the thing itself: probabilities, logits, ...",
    "standards": "normalization statistics",
    "stranger": "unseen speaker",
    "strangers": "unseen speakers",
    "honest": "inductive, transductive",
    "lanes": "places",
    "feeds": "input pipeline",
}
ALLOWED = ("clip_random_altered_sound", "soundfile")  # names on disk, and of a package


def identifiers(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.id if isinstance(node, ast.Name) else node.attr


def docstrings(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module):
            yield ast.get_docstring(node) or ""


@pytest.mark.parametrize("kind", [identifiers, docstrings])
def test_standard_terms_are_used(kind):
    wrong = []
    for path in FILES:
        for text in kind(ast.parse(path.read_text())):
            for allowed in ALLOWED:
                text = text.replace(allowed, "")
            for word in re.findall(r"[a-z]+", text.lower()):
                if word in REPLACED:
                    line = f"{path.relative_to(ROOT)}: {word!r} in {text[:60]!r}"
                    wrong.append(f"{line}; the term is {REPLACED[word]}")
    assert not wrong, "\n".join(wrong)
