"""Configs: every file loads, rows resolve, mistakes are explained, a workdir is one config's."""

import functools
import importlib
import pathlib

import jax
import numpy as np
import pytest

from mmer_jax import errors, models
from mmer_jax.config import identity, resolve, schema, validation
from mmer_jax.config.cell import measured_epochs
from mmer_jax.experiments.workdir import claim_workdir
from mmer_jax.models import registry
from mmer_jax.training import optimizers, step

FILES = sorted(
    p.stem for p in pathlib.Path("configs").glob("*.py") if p.stem not in ("__init__", "base")
)


@pytest.mark.parametrize("file", FILES)
def test_every_row_of_every_config_traces_one_step(file):
    config = importlib.import_module(f"configs.{file}").get_config()
    assert set(config.table_rows) <= set(config.rows)
    assert config.is_locked
    for row in config.rows:
        resolved = resolve.resolve_row(config, row)
        after = trace_step(
            models.build(resolved),
            optimizers.make_optimizer(resolved, 1),
            tuple(registry.input_shapes(resolved, 2).items()),
        )
        output = after.params["output"]["kernel"]
        assert output.shape[1] == len(resolved.data.emotions)


@functools.cache  # many rows are one network
def trace_step(model, optimizer, inputs):
    """The shapes of the state after a step."""

    def one_step(inputs, label):
        state = step.init_state(model, optimizer, inputs, 0)
        batch = {"inputs": inputs, "label": label, "mask": label * 1.0}
        return step.train_step(state, batch, {}, 0, model=model, optimizer=optimizer)

    after, _ = jax.eval_shape(one_step, dict(inputs), jax.ShapeDtypeStruct((2,), "int32"))
    return after


def test_the_papers_numbers_are_those_of_its_tables():
    for file, table in (("ravdess_strong", "table8"), ("ravdess_normal", "table7")):
        config = importlib.import_module(f"configs.{file}").get_config()
        assert config.table.startswith(table)
        assert set(config.paper.accuracy) == set(config.table_rows)
        assert all(len(v) == len(config.paper.epochs) for v in config.paper.accuracy.values())


def test_the_command_line_wins_over_the_row(strong_config):
    mine = resolve.resolve_row(strong_config, "mel", {"model.hidden": (7,)})
    assert mine.model.hidden == (7,)
    assert resolve.resolve_row(strong_config, "mel").model.hidden == (2048,)
    assert strong_config.rows.mel.model.hidden == (2048,)


def test_rows_asked_for(strong_config):
    assert resolve.requested_rows(strong_config) == strong_config.table_rows
    strong_config.row = "mel,flow_mel,mel"
    assert resolve.requested_rows(strong_config) == ("mel", "flow_mel")
    strong_config.row = "voice"
    with pytest.raises(errors.UserError, match="unknown row 'voice'; known: face, face_flow, "):
        resolve.requested_rows(strong_config)


def test_names_may_come_as_one_text(strong_config):
    strong_config.protocols = ("triplet_random,clip_random",)
    strong_config.data.emotions = ("anger, fear",)
    resolve.split_names(strong_config)
    assert strong_config.protocols == ("triplet_random", "clip_random")
    assert strong_config.data.emotions == ("anger", "fear")
    assert strong_config.seeds == (0,)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("epochs", 0, "config.epochs is 0"),
        ("batch_size", -1, "config.batch_size is -1"),
        ("split.test_fraction", 0.0, "above 0 and below 1"),
        ("split.validation_fraction", 1.0, "at least 0 and below 1"),
        ("data.emotions", ("anger",), "two or more"),
        ("data.emotions", ("anger", "anger"), "different emotions"),
        ("seeds", ("all",), "config.seeds must be whole numbers from 0 to 4294967295, found 'all'"),
        ("seeds", (-1,), "config.seeds must be whole numbers from 0 to 4294967295, found -1"),
        ("seeds", (0, 2**32), "whole numbers from 0 to 4294967295, found 4294967296"),
        ("protocol_seeds", {"a": (2**32,)}, r"protocol_seeds.a .* from 0 to 4294967295, found 4"),
        ("folds", (-1,), "config.folds must be whole numbers from 0, found -1"),
        ("seeds", (), "config.seeds is empty"),
        ("measure_epochs", ("x",), "config.measure_epochs must be whole"),
    ],
)
def test_values_that_cannot_be_are_explained(strong_config, field, value, message):
    with pytest.raises(errors.UserError, match=message):
        resolve.resolve_row(strong_config, "mel", {field: value})


def test_the_largest_seed_is_one_that_training_can_use(strong_config):
    resolve.resolve_row(strong_config, "mel", {"seeds": (validation.LARGEST_SEED,)})
    assert np.uint32(validation.LARGEST_SEED) == validation.LARGEST_SEED


def test_a_row_with_an_unknown_modality_is_explained(strong_config):
    strong_config.rows.mel.modalities = ("face", "smell")
    with pytest.raises(errors.UserError, match="unknown modality 'smell'; known: face, flow, mel"):
        resolve.resolve_row(strong_config, "mel")


def test_a_row_with_an_unknown_field_is_explained(strong_config):
    with strong_config.unlocked():
        strong_config.rows.bad = {"modle": {"name": "x"}}
    with pytest.raises(errors.UserError, match=r"'bad'.*no field 'modle'; did you mean 'model'"):
        resolve.resolve_row(strong_config, "bad")


def test_how_images_are_kept_and_read_is_no_part_of_a_result(strong_config):
    before = identity.digest(strong_config)
    strong_config.data.pack_storage, strong_config.run.tensorboard = "array_record", False
    assert identity.digest(strong_config) == before


def test_measured_epochs(strong_config):
    assert measured_epochs(strong_config) == (10, 20, 30, 40)
    strong_config.epochs = 25
    assert measured_epochs(strong_config) == (10, 20, 25)
    strong_config.epochs = 2
    assert measured_epochs(strong_config) == (2,)


def claim(workdir, config, rows, data, overrides=None):
    resolved = {row: resolve.resolve_row(config, row, overrides) for row in rows}
    claim_workdir(workdir, config, resolved, {**data, "table": "t"})


@pytest.fixture
def with_a_cell(strong_config, tmp_path):
    """A workdir in which `mel` has a checkpoint."""
    claim(tmp_path, strong_config, ["mel"], {"mel": "1"})
    (tmp_path / "checkpoints" / "a" / "12").mkdir(parents=True)
    return tmp_path


def test_a_workdir_without_cells_may_change(strong_config, tmp_path):
    claim(tmp_path, strong_config, ["mel"], {"mel": "1"})
    (tmp_path / "checkpoints" / "a").mkdir(parents=True)  # orbax makes it before the first save
    strong_config.optimizer.learning_rate = 2e-4
    claim(tmp_path, strong_config, ["mel"], {"mel": "1"})


def test_cells_may_differ_in_row_protocol_fold_and_seed(strong_config, with_a_cell):
    strong_config.seeds, strong_config.protocols, strong_config.row = (1, 2), ("clip_random",), "x"
    strong_config.run.checkpoint_seconds = 5.0
    strong_config.data.manual_dir = "elsewhere"
    claim(with_a_cell, strong_config, ["face", "mel"], {"face": "2", "mel": "1"})
    with pytest.raises(errors.UserError, match="data digest of face: there 2, now 3"):
        claim(with_a_cell, strong_config, ["face"], {"face": "3"})


def test_other_fields_may_not_differ(strong_config, with_a_cell):
    strong_config.optimizer.learning_rate = 1.0
    with pytest.raises(errors.UserError, match=r"learning_rate: there 0.0003, now 1.0"):
        claim(with_a_cell, strong_config, ["flow"], {"flow": "1"})


def test_a_rows_field_may_not_differ_however_it_was_set(strong_config, with_a_cell):
    with pytest.raises(errors.UserError, match=r"row mel: model.hidden: there \[2048\], now \[2"):
        claim(with_a_cell, strong_config, ["mel"], {"mel": "1"}, {"model.hidden": (2048, 1024)})
    strong_config.rows.mel.model.hidden = (5,)
    with pytest.raises(errors.UserError, match=r"model.hidden: there \[2048\], now \[5\]"):
        claim(with_a_cell, strong_config, ["mel"], {"mel": "1"})


def test_cells_without_a_note_are_nobodys(strong_config, with_a_cell):
    (with_a_cell / "config.json").unlink()
    with pytest.raises(errors.UserError, match=r"holds cells but no config.json"):
        claim(with_a_cell, strong_config, ["mel"], {"mel": "1"})


def test_modalities_follow_from_the_row(strong_config):
    with pytest.raises(errors.UserError, match=r"those of the row; .*:mel\. Known rows: face, "):
        resolve.resolve_row(strong_config, "mel", {"modalities": ("face",)})


def test_digest_is_over_what_makes_a_result(strong_config):
    before = identity.digest(strong_config)
    strong_config.seeds = (5,)
    strong_config.run.workers = 3
    assert identity.digest(strong_config) == before
    strong_config.batch_size = 31
    assert identity.digest(strong_config) != before


def test_the_papers_numbers_and_the_table_are_no_part_of_an_identity(strong_config, with_a_cell):
    before = identity.digest(strong_config)
    strong_config.paper.accuracy.mel = (0.1, 0.2, 0.3, 0.4)
    strong_config.table = "another"
    assert identity.digest(strong_config) == before
    claim(with_a_cell, strong_config, ["mel"], {"mel": "1"})


def test_a_field_that_the_schema_gains_is_no_difference_at_its_default(
    strong_config, with_a_cell, monkeypatch
):
    before = identity.digest(strong_config)
    default_config = schema.default_config

    def with_new_field():
        config = default_config()
        config.augment.new_field = 0.5
        return config

    monkeypatch.setattr(schema, "default_config", with_new_field)
    with strong_config.unlocked():
        strong_config.augment.new_field = 0.5
    assert identity.digest(strong_config) == before
    claim(with_a_cell, strong_config, ["mel"], {"mel": "1"})
    strong_config.augment.new_field = 0.25
    assert identity.digest(strong_config) != before
    with pytest.raises(errors.UserError, match=r"augment.new_field: there 0.5, now 0.25"):
        claim(with_a_cell, strong_config, ["mel"], {"mel": "1"})
