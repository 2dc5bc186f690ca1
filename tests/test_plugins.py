"""A model, a modality and a decision rule from outside the package, through every command."""

import os
import subprocess
import sys

import numpy as np
import pytest

from mmer_jax import errors
from mmer_jax.cli.main import main
from mmer_jax.config import plugins, schema
from mmer_jax.evaluation import decision_rules
from mmer_jax.results import predictions, records
from mmer_jax.synthetic.ravdess import render_ravdess

FUSION = """
import flax.linen as nn
import jax.numpy as jnp

from mmer_jax.models import registry, tower


@registry.register("product")
class ProductFusion(nn.Module):
    modalities: tuple
    classes: int
    filters: tuple = (4, 8)
    rank: int = 16

    @nn.compact
    def __call__(self, inputs, *, train):
        x = 1.0
        for name in self.modalities:
            features = tower.Tower(self.filters, name=name)(tower.to_unit_range(inputs[name]))
            x = x * nn.Dense(self.rank, name=f"project_{name}")(features.mean((1, 2)))
        return nn.Dense(self.classes, name="output")(nn.relu(x))
"""

CONFIG = """
import pathlib

from mmer_jax.config import schema

ROW = {"modalities": ("face", "mel"), "model": {"name": "product", "rank": 7}}


def get_config(row=""):
    config = schema.default_config()
    config.table, config.row = "mine", row
    config.plugins = (str(pathlib.Path(__file__).with_name("my_fusion.py")),)
    config.rows = {"product": ROW, "wide": {**ROW, "model": {"name": "product", "rank": 9}}}
    config.table_rows = ("product", "wide")
    config.protocols = ("clip_random",)
    config.data.size, config.epochs = 16, 2
    config.run.tensorboard = False
    config.lock()
    return config
"""


def call(*command):
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    return subprocess.run(
        [sys.executable, *map(str, command)], env=environment, capture_output=True, text=True
    )


def test_a_fusion_from_outside_is_trained_reported_compared_and_tested(
    tmp_path, small_pack, capsys
):
    (tmp_path / "my_fusion.py").write_text(FUSION)
    (tmp_path / "my_config.py").write_text(CONFIG)
    workdir = tmp_path / "run"
    done = call(
        *("run.py", f"--config={tmp_path / 'my_config.py'}", f"--workdir={workdir}"),
        f"--config.data.pack={small_pack}",
    )
    assert done.returncode == 0, done.stderr
    (record, other) = (r for r in records.read(workdir / "records.jsonl") if r["epochs"] == 2)
    assert (record["row"], other["row"]) == ("product", "wide")
    assert record["model"]["rank"] == 7 and other["model"]["rank"] == 9
    assert record["config"]["plugins"] == [str(tmp_path / "my_fusion.py")]
    assert other["parameters"] > record["parameters"]

    assert main(["report", str(workdir)]) == 0
    assert "product" in (workdir / "report" / "index.html").read_text()
    assert main(["compare", str(workdir)]) == 0
    assert "wide" in capsys.readouterr().out
    # A process of its own: the plugin is imported because the record names it.
    done = call("-m", "mmer_jax.cli", "robustness", workdir, "--corruptions", "missing")
    assert done.returncode == 0, done.stderr
    assert "without face" in done.stdout

    # The file is part of what identifies a run.
    (tmp_path / "my_fusion.py").write_text(FUSION.replace("nn.relu", "nn.tanh"))
    done = call(
        *("run.py", f"--config={tmp_path / 'my_config.py'}", f"--workdir={workdir}"),
        f"--config.data.pack={small_pack}",
    )
    assert done.returncode == 1
    assert "What differs: plugins" in done.stderr


MODALITY = """
import numpy as np

from mmer_jax import modalities
from mmer_jax.evaluation import decision_rules
from mmer_jax.media import representations


def envelope(samples, rate, size):
    loudness = [np.abs(part).max(initial=0.0) for part in np.array_split(samples, size)]
    row = (255 * np.array(loudness)).astype(np.uint8)[None, :, None]
    return np.broadcast_to(row, (size, size, 1))


modalities.register(
    modalities.Modality("envelope", 1, "audio", "envelope", "time runs to the right")
)
representations.register("envelope", envelope)
decision_rules.register("first", lambda posteriors: next(iter(posteriors.values())))
"""

MODALITY_CONFIG = """
from mmer_jax.config import schema


def get_config(row=""):
    config = schema.default_config()
    config.table, config.row = "mine", row
    config.plugins = ("PLUGIN",)
    model = {"filters": (4, 8), "hidden": (8,)}
    config.rows = {
        "envelope": {"modalities": ("envelope",), "model": model},
        "mel": {"modalities": ("mel",), "model": model},
        "first": {
            "modalities": ("envelope", "mel"),
            "fusion": {"method": "first", "rows": ("envelope", "mel")},
        },
    }
    config.table_rows = ("envelope", "mel", "first")
    config.protocols = ("clip_random",)
    config.data.emotions = ("anger", "fear")
    config.data.builder, config.data.size, config.epochs = "speech", 16, 1
    config.split.test_fraction = 0.5
    config.run.tensorboard = False
    config.lock()
    return config
"""


def test_a_modality_and_a_rule_from_outside(tmp_path):
    clips = tmp_path / "clips"
    render_ravdess(
        clips, actors=2, emotions=("anger", "fear"), intensities=("strong",), repetitions=(1,),
        size=(96, 72), fps=10, seconds=0.6, workers=1,
    )  # fmt: skip
    (tmp_path / "plugin.py").write_text(MODALITY)
    text = MODALITY_CONFIG.replace("PLUGIN", str(tmp_path / "plugin.py"))
    (tmp_path / "config.py").write_text(text)
    workdir = tmp_path / "run"
    done = call(
        *("run.py", f"--config={tmp_path / 'config.py'}", f"--workdir={workdir}"),
        *(f"--config.data.manual_dir={clips}", f"--config.data.data_dir={tmp_path / 'data'}"),
        "--config.run.workers=2",
    )
    assert done.returncode == 0, done.stderr
    fused, member = (
        predictions.load(workdir / "predictions" / f"{row}-clip_random-fold0-seed0.npz")
        for row in ("first", "envelope")
    )
    np.testing.assert_allclose(
        fused.examples[1, "test"].probabilities, member.examples[1, "test"].probabilities, atol=1e-6
    )


def test_plugins_of_one_file_name_are_each_loaded_once(tmp_path, monkeypatch):
    monkeypatch.setattr(plugins, "_loaded", {})
    monkeypatch.setattr(decision_rules, "RULES", dict(decision_rules.RULES))
    content = """
from mmer_jax.evaluation import decision_rules

def rule(posteriors):
    return sum(posteriors.values()) / len(posteriors)

decision_rules.register({name!r}, rule)
"""
    paths = []
    for name in ("rule_of_a", "rule_of_b"):
        (tmp_path / name).mkdir()
        paths.append(tmp_path / name / "rule.py")
        paths[-1].write_text(content.format(name=name))
    for _ in range(2):
        plugins.load(map(str, paths))
    assert {"rule_of_a", "rule_of_b"} <= set(decision_rules.methods())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no such file"),
        ("import nothing_of_this_name", "cannot be imported: ModuleNotFoundError: No module named"),
        ("1 / 0", "cannot be imported: ZeroDivisionError"),
    ],
)
def test_a_plugin_that_cannot_be_imported_is_one_message(tmp_path, content, message):
    path = tmp_path / "plugin.py"
    if content is not None:
        path.write_text(content)
    config = schema.default_config()
    config.plugins = (str(path),)
    with pytest.raises(errors.UserError, match=message):
        plugins.load(config.plugins)
