"""The command `mmer figure`."""

import xml.etree.ElementTree as ElementTree

import jax
import numpy as np
import pytest
from PIL import Image

from mmer_jax import models
from mmer_jax.cli import figure as command
from mmer_jax.config import resolve
from mmer_jax.models import registry


@pytest.fixture(scope="module")
def beep_file(tmp_path_factory, beep, write_audio):
    return write_audio(tmp_path_factory.mktemp("audio") / "beep.wav", beep, 22050)


@pytest.mark.parametrize(
    ("name", "file"), [("frames", "figure4_frames_moving"), ("flow", "figure7_flow_moving")]
)
def test_clips_are_drawn_into_a_folder(name, file, moving, tmp_path, capsys):
    assert command.main([name, str(moving), "--detector=none", f"--out={tmp_path}"]) == 0
    path = tmp_path / f"{file}.png"
    assert capsys.readouterr().out == f"{path}\n"
    image = np.asarray(Image.open(path).convert("L"))
    assert image.shape[1] == 1350 and image.std() > 20  # six columns of 1.5 inches


def test_audio_is_drawn_into_the_workdir(beep_file, tmp_path):
    for name in ("representations", "alterations"):
        assert command.main([name, str(beep_file), f"--workdir={tmp_path}"]) == 0
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == [
        "figure10_alterations_beep.png",
        "figure9_representations_beep.png",
    ]


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_the_same_figure_gives_the_same_bytes(ending, beep_file, tmp_path):
    paths = [tmp_path / f"{i}.{ending}" for i in range(2)]
    for path in paths:
        assert command.main(["representations", str(beep_file), f"--out={path}"]) == 0
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_svg_keeps_text_and_images(beep_file, tmp_path):
    path = tmp_path / "nine.svg"
    assert command.main(["representations", str(beep_file), f"--out={path}"]) == 0
    svg = ElementTree.parse(path).getroot()
    texts = "".join(svg.itertext())
    assert "waveform" in texts and "time (s)" in texts
    assert sum(element.tag.endswith("}image") for element in svg.iter()) == 6


def test_layers_as_text_and_markdown(strong_config, tmp_path, capsys):
    arguments = ["layers", "configs/ravdess_strong.py:face,face_flow", "--size=32"]
    assert command.main([*arguments, f"--out={tmp_path}"]) == 0
    printed = capsys.readouterr().out
    written = (tmp_path / "figure6_8_layers.md").read_text()
    for row in ("face", "face_flow"):
        config = resolve.resolve_row(strong_config, row, {"data.size": 32})
        model, shapes = models.build(config), registry.input_shapes(config)
        count = models.count_parameters(_init_shapes(model, shapes))
        assert f"{count:,} parameters." in printed and f"{count:,} parameters." in written
    assert "10 convolutions, 3 dense layers" in printed
    lines = [line for line in written.splitlines() if line.startswith("|")]
    assert all(line.count("|") == 6 for line in lines) and len(lines) == 2 * 2 + 10 + 16


def _init_shapes(model, shapes):
    return jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), shapes)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["frames", "absent.mp4", "--out=x"], "absent.mp4"),
        (["frames", "absent.mp4", "--detector=eye", "--out=x"], "unknown face detector 'eye'"),
        (["flow", "absent.mp4", "--flow_scale=-1", "--out=x"], "flow_scale must be above 0"),
        (
            ["alterations", "a.wav", "b.wav", "--out=x.png"],
            "cannot save 2 figures to the file x.png",
        ),
        (["alterations", "a/s.wav", "b/s.wav", "--out=x"], "into the same file"),
        (["confusion", "runs/w", "--out=x"], "expected WORKDIR:ROW"),
        (
            ["layers", "configs/nothing.py", "--out=x"],
            "the config configs/nothing.py does not exist",
        ),
        (["layers", "configs/ravdess_strong.py:voice", "--out=x"], "unknown row 'voice'; known: "),
        (["layers", "setup.cfg", "--out=x"], "setup.cfg"),
    ],
)
def test_a_mistake_gives_one_line(arguments, message, capsys, tmp_path):
    arguments[-1] = arguments[-1].replace("=x", f"={tmp_path}/x")
    assert command.main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1
    assert message.replace("x.png", f"{tmp_path}/x.png") in error


@pytest.mark.parametrize("count", ["0", "many", "-1"])
def test_a_count_is_a_positive_integer(count, capsys):
    with pytest.raises(SystemExit) as exit_info:
        command.main(["frames", "a.mp4", f"--count={count}", "--out=x"])
    assert exit_info.value.code == 2
    assert "expected a positive integer" in capsys.readouterr().err
