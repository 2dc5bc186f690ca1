"""The BAUM-1 builder used through TFDS: configs, reading, error without recordings."""

from pathlib import Path

import pytest
import tensorflow_datasets as tfds

from mmer_jax import errors
from mmer_jax.synthetic import render_baum1
from tfds_builders.baum1 import baum1_dataset_builder as builder_module


@pytest.fixture(scope="module")
def manual_dir(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("manual")
    render_baum1(
        folder,
        subjects=1,
        clips=1,
        emotions=["anger", "surprise"],
        size=(96, 72),
        seconds=0.6,
        fps=10,
        workers=1,
    )
    return folder


def test_names_of_the_six_configs():
    assert list(builder_module.Builder.builder_configs) == [
        f"{subset}_{kind}"
        for subset in ("acted", "spontaneous")
        for kind in ("triplets", "frames", "speech")
    ]
    with pytest.raises(errors.UserError, match="unknown builder config 'triplets'; known: acted_"):
        builder_module.Baum1Config(name="triplets")


@pytest.mark.parametrize(
    ("config", "count"), [("acted_triplets", 6), ("acted_frames", 10), ("acted_speech", 2)]
)
def test_every_config_builds_and_is_read_by_tfds(config, count, manual_dir, tmp_path):
    builder = builder_module.Builder(
        config=builder_module.Baum1Config(name=config, workers=1), data_dir=tmp_path
    )
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(manual_dir=manual_dir)
    )
    dataset = builder.as_dataset(split="train")
    assert len(dataset) == count
    for example in dataset.take(2):
        assert set(example) == set(builder.info.features)
    assert builder.info.features["label"].names[7] == "surprise"  # 1a's code 8
    assert builder.info.features["intensity"].names == ["acted"]
    assert "BAUM-1" in builder.info.description
    assert "Zhalehpour" in builder.info.citation


def test_labels_are_in_the_order_of_the_codes_of_the_subset(tmp_path):
    builder = builder_module.Builder(config="spontaneous_speech", data_dir=tmp_path)
    assert builder.info.features["label"].names[9] == "sadness"  # 1s's code 10
    assert builder.info.features["label"].num_classes == 13


def test_without_manual_folder_the_error_says_how_to_get_the_recordings(tmp_path):
    builder = builder_module.Builder(config="spontaneous_speech", data_dir=tmp_path)
    with pytest.raises(errors.UserError, match=r"ask the authors of doi:.*BAUM1s_MP4_all"):
        builder.download_and_prepare()


def test_tags_are_valid():
    from tensorflow_datasets.core import dataset_metadata

    tags = builder_module.Builder.get_metadata().tags
    assert tags and set(tags) <= set(dataset_metadata.valid_tags())
