"""The RAVDESS builder used through TFDS: reading, command line, download."""

import hashlib
import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
import zipfile
from functools import partial
from pathlib import Path

import pytest
import tensorflow_datasets as tfds

from mmer_jax.synthetic.ravdess import render_ravdess
from tfds_builders.ravdess import ravdess_dataset_builder as builder_module

HERE = Path(builder_module.__file__).parent


@pytest.fixture(scope="module")
def manual_dir(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("manual")
    render_ravdess(
        folder,
        actors=1,
        emotions=["anger", "calm"],
        intensities=["normal"],
        statements=[1],
        repetitions=[1],
        size=(160, 120),
        seconds=0.8,
        workers=1,
    )
    return folder


@pytest.mark.parametrize(("config", "count"), [("triplets", 6), ("frames", 22), ("speech", 2)])
def test_every_config_builds_and_is_read_by_tfds(config, count, manual_dir, tmp_path):
    builder = builder_module.Builder(config=config, data_dir=tmp_path)
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(manual_dir=manual_dir)
    )
    dataset = builder.as_dataset(split="train")
    assert len(dataset) == count
    for example in dataset.take(2):
        assert set(example) == set(builder.info.features)
    assert builder.info.features["label"].names[4] == "anger"  # RAVDESS's code 05
    assert "RAVDESS" in builder.info.description
    assert "Livingstone" in builder.info.citation


def test_tags_are_valid():
    from tensorflow_datasets.core import dataset_metadata

    tags = builder_module.Builder.get_metadata().tags
    assert tags and set(tags) <= set(dataset_metadata.valid_tags())


def test_archives_are_those_of_the_zenodo_record():
    archives = json.loads((HERE / "archives.json").read_text())
    videos = [name for name in archives if name.startswith("Video_Speech_Actor_")]
    assert videos == [f"Video_Speech_Actor_{a:02d}.zip" for a in range(1, 25)]
    assert round(sum(archives[name]["bytes"] for name in videos) / 2**30, 2) == 12.44
    assert archives["Audio_Speech_Actors_01-24.zip"] == {
        "bytes": 208468073,
        "md5": "bc696df654c87fed845eb13823edef8a",
    }


def test_command_line_with_options(manual_dir, tmp_path):
    """`tfds build` in this folder; options become part of the folder's name."""
    options = {"name": "triplets", "detector": "none", "workers": 1, "strict": True}
    command = [
        *(
            sys.executable,
            "-c",
            "from tensorflow_datasets.scripts.cli.main import launch_cli as m; m()",
        ),
        *("build", f"--manual_dir={manual_dir}", f"--data_dir={tmp_path}"),
        *("--config", json.dumps(options)),
    ]
    environment = os.environ | {"PYTHONPATH": str(HERE.parent.parent)}
    completed = subprocess.run(command, cwd=HERE, env=environment, capture_output=True, text=True)
    assert completed.returncode == 0, completed.stderr[-3000:]
    (info,) = tmp_path.glob("ravdess/triplets-*/1.0.0/dataset_info.json")
    assert json.loads((info.parent / "metadata.json").read_text())["options"]["detector"] == "none"
    assert "2 of 2 recordings used" in completed.stderr


def test_without_a_manual_folder_the_archives_are_downloaded(manual_dir, tmp_path, monkeypatch):
    served = tmp_path / "served"
    served.mkdir()
    archive = served / "Video_Speech_Actor_01.zip"
    with zipfile.ZipFile(archive, "w") as z:
        for file in (manual_dir / "Actor_01").iterdir():
            z.write(file, f"Actor_01/{file.name}")
    entry = {"bytes": archive.stat().st_size, "md5": hashlib.md5(archive.read_bytes()).hexdigest()}
    archives = tmp_path / "archives.json"
    archives.write_text(json.dumps({archive.name: entry}))
    monkeypatch.setattr(builder_module.Builder, "ARCHIVES", archives)

    handler = partial(http.server.SimpleHTTPRequestHandler, directory=served)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever).start()
        url = f"http://127.0.0.1:{server.server_port}"
        config = builder_module.RavdessConfig(name="triplets", base_url=url, workers=1)
        assert config.name == "triplets"
        builder = builder_module.Builder(config=config, data_dir=tmp_path / "data")
        builder.download_and_prepare()
        server.shutdown()
    assert builder.info.splits["train"].num_examples == 6
    assert builder.info.metadata["origin"] == "recorded"
    assert [f.name for f in (tmp_path / "data" / "downloads" / "ravdess").iterdir()] == [
        archive.name
    ]
    shutil.rmtree(served)
