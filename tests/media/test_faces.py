"""Finding faces, one square for a clip, and cutting it out."""

import cv2
import numpy as np
import pytest

from mmer_jax import errors
from mmer_jax.media import faces, video
from mmer_jax.synthetic.ravdess import render_ravdess


def boxes(*found):
    """A detector that gives prepared boxes, image after image."""
    answers = [np.array(b, float).reshape(-1, 4) for b in found]
    return lambda image: answers.pop(0)


def blank(height=100, width=200):
    return np.zeros((height, width, 3), np.uint8)


def square(*found, margin=0.0, size=(100, 200)):
    return faces.face_square([blank(*size)] * len(found), boxes(*found), margin)


def test_the_box_of_one_face_is_widened_by_the_margin():
    assert square([(60, 20, 40, 40)]).box == (60, 20, 100, 60)
    assert square([(60, 30, 40, 40)], margin=0.25).box == (50, 20, 110, 80)


def test_a_box_that_is_no_square_becomes_one():
    assert square([(60, 20, 30, 40)]).box == (55, 20, 95, 60)


def test_the_largest_face_and_the_median_frame_count():
    one = [(10, 10, 20, 20), (60, 20, 40, 40), (150, 10, 30, 30)]
    wrong = [(0, 0, 90, 90)]
    result = square(one, [(62, 22, 40, 40)], wrong, [(61, 21, 40, 40)], [])
    assert result.found
    # The medians of centers (80, 40), (82, 42), (45, 45), (81, 41) and of the four widths.
    assert result.box == (60.5, 21.5, 100.5, 61.5)


def test_a_box_near_the_edge_is_shifted_inside():
    assert square([(0, 0, 40, 40)], margin=0.5).box == (0, 0, 80, 80)
    assert square([(160, 60, 40, 40)], margin=0.5).box == (120, 20, 200, 100)


def test_a_box_larger_than_the_image_is_shrunk():
    assert square([(60, 10, 80, 80)], margin=0.5).box == (50, 0, 150, 100)


def test_without_a_face_it_is_the_center():
    assert square([], []) == faces.FaceBox((50, 0, 150, 100), False)
    assert square([], size=(200, 100)) == faces.FaceBox((0, 50, 100, 150), False)
    none = faces.make_detector("none")
    assert faces.face_square([blank()], none, 0.3) == faces.FaceBox((50, 0, 150, 100), False)


def test_crop_takes_the_box():
    image = blank()
    image[20:60, 60:100] = (10, 20, 30)
    for size in (20, 40, 90):
        part = faces.crop(image, (60, 20, 100, 60), size)
        assert part.shape == (size, size, 3)
        assert part.dtype == np.uint8
        assert (part == (10, 20, 30)).all()


def test_crop_keeps_up_up_and_left_left():
    image = blank()
    image[20:30, 60:70] = (255, 0, 0)  # the upper left corner of the box
    image[50:60, 90:100] = (0, 0, 255)  # the lower right one
    part = faces.crop(image, (60, 20, 100, 60), 224)
    assert part[20, 20].tolist() == [255, 0, 0]
    assert part[-20, -20].tolist() == [0, 0, 255]
    assert not part[20, -20].any()


def test_crop_averages_when_it_shrinks():
    stripes = np.zeros((224, 224, 3), np.uint8)
    stripes[:, ::2] = 200
    assert np.abs(faces.crop(stripes, (0, 0, 224, 224), 56).astype(int) - 100).max() <= 1


def test_crop_stays_inside_after_rounding():
    assert faces.crop(blank(), (100.5, 0, 200.5, 100), 64).shape == (64, 64, 3)


def test_unknown_detector_lists_the_known():
    with pytest.raises(errors.UserError, match="'hog'; known: haar, yunet, none"):
        faces.make_detector("hog")


def test_a_model_is_asked_for_where_it_is_needed_and_refused_where_not(tmp_path):
    with pytest.raises(errors.UserError, match="needs its model file"):
        faces.make_detector("yunet")
    with pytest.raises(errors.UserError, match=r"absent\.onnx"):
        faces.make_detector("yunet", str(tmp_path / "absent.onnx"))
    (tmp_path / "junk.onnx").write_bytes(b"junk")
    with pytest.raises(errors.UserError, match=r"cannot load .*junk\.onnx as a YuNet model"):
        faces.make_detector("yunet", str(tmp_path / "junk.onnx"))
    for name in ("haar", "none"):
        with pytest.raises(errors.UserError, match="takes no model file"):
            faces.make_detector(name, "model.onnx")


def test_yunet_gets_a_small_bgr_image_and_its_boxes_are_scaled_back(tmp_path, monkeypatch):
    class Network:
        def setInputSize(self, size):
            self.size = size

        def detect(self, image):
            assert image.shape == (180, 320, 3)
            assert self.size == (320, 180)
            assert image[0, 0].tolist() == [30, 20, 10]
            return 1, np.array([[40, 30, 50, 60, *range(10), 0.9]], np.float32)

    monkeypatch.setattr(cv2.FaceDetectorYN, "create", lambda *args: Network())
    (tmp_path / "model.onnx").touch()
    detect = faces.make_detector("yunet", str(tmp_path / "model.onnx"))
    found = detect(np.full((720, 1280, 3), (10, 20, 30), np.uint8))
    assert found.tolist() == [[160, 120, 200, 240]]


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    """Rendered actors, each with a face and skin of its own: name -> [uint8 RGB, ...]."""
    paths = render_ravdess(
        tmp_path_factory.mktemp("rendered"),
        actors=8,
        emotions=("anger",),
        intensities=("normal",),
        statements=(1,),
        repetitions=(1,),
        seconds=0.6,
        workers=1,
    )
    return {p.stem: list(video.read_frames(p, [0, 3, 6]).images.values()) for p in paths}


@pytest.fixture(scope="module")
def originals(original_clips):
    """Real images, the same way."""
    paths = original_clips[::2]
    return {p.stem: list(video.read_frames(p, [5, 30, 50]).images.values()) for p in paths}


@pytest.fixture(params=["rendered", "originals"])
def heads(request):
    return request.getfixturevalue(request.param)


def test_faces_are_found_in_every_skin_and_light(heads):
    detector = faces.make_detector("haar")
    for darker in (1, 0.5, 0.25, 0.12):
        for name, images in heads.items():
            dim = [(image * darker).astype(np.uint8) for image in images]
            assert faces.face_square(dim, detector).found, (name, darker)


def test_the_crop_holds_an_upright_face_in_its_middle(heads):
    """The cascade knows upright faces: it finds one in the crop, hardly any in it turned over."""
    detector = faces.make_detector("haar")
    turned = []
    for name, images in heads.items():
        box = faces.face_square(images, detector)
        part = faces.crop(images[0], box.box, 224)
        found = detector(part)
        assert len(found), name
        left, top, width, height = found[np.argmax(found[:, 2])]
        assert 130 < width < 224, name
        assert np.abs([left + width / 2 - 112, top + height / 2 - 112]).max() < 25, name
        turned.append(len(detector(part[::-1])) > 0)
    assert np.mean(turned) < 0.3


def test_real_faces_are_found_on_dark_skin_before_a_white_wall(originals):
    """Dark and flat, as skin is exposed where the wall is bright: none is found as they are."""
    detector = faces.make_detector("haar")
    found = []
    for images in originals.values():
        for image in images:
            person = (image.min(axis=2) < 235).astype(np.float32)
            person = cv2.GaussianBlur(person, (0, 0), 2)[..., None]
            dark = (image * 0.15 + 85) * 0.2  # gray levels 17 to 24
            found.append(len(detector((image * (1 - person) + dark * person).astype(np.uint8))))
    assert np.mean(np.array(found) > 0) >= 0.95


def test_the_background_is_blackened_around_an_oval():
    image = np.full((40, 40, 3), 200, np.uint8)
    masked = faces.mask_background(image)
    assert set(np.unique(masked)) == {0, 200}
    assert masked[20, 20].all() and not masked[0, 0].any() and not masked[20, 0].any()
    width, height = faces.OVAL
    assert (masked[..., 0] > 0).mean() == pytest.approx(np.pi / 4 * width * height, abs=0.02)
