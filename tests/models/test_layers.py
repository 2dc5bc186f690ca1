"""Layer tables of the networks that the configs build, against the paper and against counting."""

import importlib

import flax.linen as nn
import jax
import pytest

from mmer_jax import errors, models
from mmer_jax.config import resolve, schema
from mmer_jax.models import layers, registry

# Table 5: convolutions and dense layers.
PAPER = {
    "face": (5, 3),
    "flow": (5, 3),
    "mel": (5, 2),
    "face_flow": (10, 3),
    "flow_mel": (10, 3),
    "face_mel": (10, 3),
    "face_flow_mel": (15, 3),
}


def table(config, row, **overrides):
    return layers.layer_table(resolve.resolve_row(config, row, overrides))


@pytest.mark.parametrize("row", PAPER)
def test_table_5(strong_config, row):
    rows = table(strong_config, row)
    kinds = layers.CONVOLUTIONS, layers.DENSE
    assert tuple(layers.count(rows, kind) for kind in kinds) == PAPER[row]


def test_figure_6_layer_by_layer(strong_config):
    rows = table(strong_config, "face")
    assert [(x.name, x.kind, x.output_shape, x.parameters) for x in rows] == [
        ("face/conv1", "Convolution, 2x2 max pooling", (64, 64, 32), 3 * 9 * 32 + 32),
        ("face/conv2", "Convolution, 2x2 max pooling", (32, 32, 64), 32 * 9 * 64 + 64),
        ("face/conv3", "Convolution, 2x2 max pooling", (16, 16, 128), 64 * 9 * 128 + 128),
        ("face/conv4", "Convolution, 2x2 max pooling", (8, 8, 256), 128 * 9 * 256 + 256),
        ("face/conv5", "Convolution, 2x2 max pooling", (4, 4, 512), 256 * 9 * 512 + 512),
        ("Dropout_0", "Dropout 0.25", (4, 4, 512), 0),
        ("dense1", "Dense", (2048,), 4 * 4 * 512 * 2048 + 2048),
        ("dense2", "Dense", (1024,), 2048 * 1024 + 1024),
        ("Dropout_1", "Dropout 0.4", (1024,), 0),
        ("output", "Dense", (5,), 1024 * 5 + 5),
    ]
    assert [x.input_shape for x in rows[:6]] == [
        *((128, 128, 3), (64, 64, 32), (32, 32, 64), (16, 16, 128), (8, 8, 256), (4, 4, 512))
    ]


@pytest.mark.parametrize(
    ("file", "row", "convolutions"),
    [
        ("audio_representations", "waveform", 4),
        ("audio_model_changes", "start", 4),
        ("audio_model_changes", "change3", 5),
        ("audio_model_changes", "change5", 6),
        ("audio_augmentation", "augmented_x2", 5),
    ],
)
def test_spectrogram_networks_of_section_7_2(file, row, convolutions):
    """Convolutions, "two Dense layers, a Dropout layer, and at last a softmax layer"."""
    rows = table(importlib.import_module(f"configs.{file}").get_config(), row)
    kinds = [x.kind.partition(",")[0] for x in rows]
    assert kinds == ["Convolution"] * convolutions + ["Dense", "Dense", "Dropout 0.4", "Dense"]
    assert all(x.kind.endswith("2x2 max pooling") for x in rows[:convolutions])
    assert [x.output_shape for x in rows[convolutions:]] == [(2048,), (1024,), (1024,), (5,)]


def test_dropout_at_rate_0_is_no_layer(strong_config):
    rows = table(strong_config, "face", **{"model.dropout_features": 0.0})
    assert [x.kind for x in rows if "Dropout" in x.kind] == ["Dropout 0.4"]


@pytest.mark.parametrize("name", models.MODELS)
def test_parameters_add_up_whatever_the_model(name):
    # The two inputs that every architecture takes; 32 pixels are enough for the deepest.
    config = schema.default_config()
    config.modalities, config.model.name, config.data.size = ("face", "mel"), name, 32
    model, shapes = models.build(config), registry.input_shapes(config)
    params = jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), shapes)
    rows = layers.layer_table(config)
    assert sum(x.parameters for x in rows) == models.count_parameters(params)
    assert rows[-1].output_shape == (5,)
    assert len({x.name for x in rows}) == len(rows)


def test_parameters_beside_inner_modules_are_listed(strong_config, monkeypatch):
    class Scaled(nn.Module):
        modalities: tuple
        classes: int

        @nn.compact
        def __call__(self, images, *, train):
            x = images["mel"].reshape(1, -1) * self.param("scale", nn.initializers.ones, (3, 1))
            return nn.Dense(5, name="last")(x)

    monkeypatch.setitem(registry.MODELS, "scaled", Scaled)
    config = schema.default_config()
    config.modalities, config.model.name, config.data.size = ("mel",), "scaled", 8
    rows = layers.layer_table(config)
    assert [(x.name, x.kind, x.parameters) for x in rows] == [
        ("last", "Dense", 64 * 5 + 5),
        ("network", "Scaled", 3),
    ]


def test_an_unknown_model_names_the_known(strong_config):
    with pytest.raises(errors.UserError, match=r"unknown model 'resnet'; known: .*concatenation"):
        table(strong_config, "mel", **{"model.name": "resnet"})
