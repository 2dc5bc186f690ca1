"""Face detection, and one square crop for all frames of a clip.

The box is the same for all frames, so that the crop does not jitter and optical flow shows the
motion of the face, not the noise of the detector.
"""

import dataclasses
import os
from collections.abc import Callable, Sequence

import cv2
import numpy as np

from mmer_jax import errors

# uint8 [h, w, 3] RGB -> float [n, 4]: left, top, width, height in pixels of that image.
Detector = Callable[[np.ndarray], np.ndarray]

# Margin added on each side of the detected face, as a fraction of the width of the face. The box of
# the Haar cascade ends above the eyebrows and below the lips; the margin adds the forehead, a
# little hair, the chin and the ears.
MARGIN = 0.15
# Width and height of a face as fractions of the side of its crop: detectors return squares from
# brows to chin.
OVAL = (0.75, 0.95)

# Detection runs on a downscaled image: (longest side in pixels, scale factor between face sizes).
# The first pass finds faces of at least a quarter of the image's height, as in nearly all
# recordings of a speaker. The second pass, which is four times as slow, runs if the first one finds
# no face.
_PASSES = ((160, 1.15), (320, 1.1))


@dataclasses.dataclass(frozen=True)
class FaceBox:
    """A square crop around a face.

    Attributes:
      box: Left, top, right, bottom in source pixels, inside the image.
      found: Whether the detector found a face. If not, `box` is the largest centered square.
    """

    box: tuple[float, float, float, float]
    found: bool


def make_detector(name: str, model_path: str | None = None) -> Detector:
    """Creates a face detector by name.

    A detector cannot be pickled: create it in the worker process.

    Args:
      name: Key of DETECTORS: "haar", "yunet" or "none".
      model_path: Path of YuNet's .onnx file; None for the other detectors.

    Returns:
      A function from an image, uint8 [h, w, 3] RGB, to boxes, float64 [n, 4]: left,
      top, width and height in pixels.

    Raises:
      UserError: If `name` is unknown, the model file is missing or cannot be loaded, or a model
        file is given to a detector that takes none.
    """
    if name not in DETECTORS:
        raise errors.unknown("face detector", name, DETECTORS)
    return DETECTORS[name](model_path)


def face_square(
    images: Sequence[np.ndarray], detector: Detector, margin: float = MARGIN
) -> FaceBox:
    """Computes one square around the face from several frames of a clip.

    Args:
      images: uint8 [h, w, 3] RGB, one or more, all of the same size.
      detector: A detector from `make_detector`.
      margin: Margin on each side, as a fraction of the face's width.

    Returns:
      The crop: the median, over the frames, of the center and the width of the largest face,
      widened by the margin, shifted into the image, and shrunk if it is larger than the image. If
      no frame has a face, the largest centered square.
    """
    height, width = images[0].shape[:2]
    faces = []
    for image in images:
        boxes = detector(image)
        if len(boxes):
            left, top, w, h = boxes[np.argmax(boxes[:, 2] * boxes[:, 3])]
            faces.append((left + w / 2, top + h / 2, max(w, h)))
    if faces:
        x, y, side = np.median(faces, axis=0)
        side = side * (1 + 2 * margin)
    else:
        x, y, side = width / 2, height / 2, min(width, height)
    side = min(side, width, height)
    left = min(max(x - side / 2, 0), width - side)
    top = min(max(y - side / 2, 0), height - side)
    return FaceBox(tuple(map(float, (left, top, left + side, top + side))), bool(faces))


def crop(image: np.ndarray, box: Sequence[float], size: int) -> np.ndarray:
    """Crops a square from an image and resizes it.

    Args:
      image: uint8 [h, w, 3].
      box: Left, top, right, bottom of the square in pixels of `image`, which are rounded to whole
        pixels.
      size: Side of the result in pixels.

    Returns:
      uint8 [size, size, 3].
    """
    height, width = image.shape[:2]
    side = max(1, min(round(box[2] - box[0]), width, height))
    left = min(max(round(box[0]), 0), width - side)
    top = min(max(round(box[1]), 0), height - side)
    square = image[top : top + side, left : left + side]
    interpolation = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
    return cv2.resize(square, (size, size), interpolation=interpolation)


def mask_background(image: np.ndarray) -> np.ndarray:
    """Sets everything outside a centered upright ellipse, where the face is, to black.

    Args:
      image: uint8 [s, s, c], a crop with the box from `face_square`.

    Returns:
      uint8 [s, s, c]. OVAL has the width and height of the ellipse as fractions of s.
    """
    side = image.shape[0]
    position = (np.arange(side) + 0.5) / side * 2 - 1
    width, height = OVAL
    inside = (position / width) ** 2 + (position[:, None] / height) ** 2 <= 1
    return image * inside[..., None].astype(np.uint8)


def _make_haar(model_path: str | None) -> Detector:
    _refuse_model("haar", model_path)
    name = "haarcascade_frontalface_alt2.xml"
    cascade = cv2.CascadeClassifier(os.path.join(cv2.data.haarcascades, name))

    def detect(image: np.ndarray) -> np.ndarray:
        for side, step in _PASSES:
            small, scale = _downscale(image, side)
            # The cascade compares gray levels of neighboring areas. On dark skin in front of a
            # bright wall these differ by a few of 255 levels: of real faces with contrast reduced
            # in this way the cascade finds none without histogram equalization and all with it.
            # Equalizing the whole image works better than CLAHE, which amplifies texture: 99%
            # against 77% of the faces that fill a small image are found.
            gray = cv2.equalizeHist(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY))
            smallest = min(gray.shape) // 8
            boxes = cascade.detectMultiScale(
                gray, scaleFactor=step, minNeighbors=4, minSize=(smallest, smallest)
            )
            if len(boxes):
                return np.asarray(boxes, np.float64) / scale
        return np.zeros((0, 4))

    return detect


def _make_yunet(model_path: str | None) -> Detector:
    if not model_path or not os.path.isfile(model_path):
        raise errors.UserError(
            "the face detector 'yunet' needs its model file (.onnx, from OpenCV's model zoo), found"
            f" {model_path!r}: give the path of the file, or choose another detector (known:"
            f" {', '.join(DETECTORS)})"
        )
    try:
        network = cv2.FaceDetectorYN.create(os.fspath(model_path), "", (320, 320), 0.7)
    except cv2.error as error:
        raise errors.UserError(
            f"OpenCV {cv2.__version__} cannot load {model_path} as a YuNet model:"
            f" {' '.join(str(error.err).split())}"
        ) from None

    def detect(image: np.ndarray) -> np.ndarray:
        small, scale = _downscale(image, 320)
        network.setInputSize(small.shape[1::-1])
        # [n, 15]: box, five landmarks, score.
        detections = network.detect(cv2.cvtColor(small, cv2.COLOR_RGB2BGR))[1]
        if detections is None:
            return np.zeros((0, 4))
        return detections[:, :4].astype(np.float64) / scale

    return detect


def _make_none(model_path: str | None) -> Detector:
    _refuse_model("none", model_path)
    return lambda image: np.zeros((0, 4))


def _refuse_model(name: str, model_path: str | None) -> None:
    if model_path:
        raise errors.UserError(
            f"the face detector {name!r} takes no model file, found {model_path!r}: remove it,"
            " or choose 'yunet'"
        )


def _downscale(image: np.ndarray, side: int) -> tuple[np.ndarray, float]:
    """Reduces an image to at most `side` pixels on the longest side.

    Returns:
      The image, and the scale from the original to this image, at most 1.
    """
    scale = min(1.0, side / max(image.shape[:2]))
    if scale == 1:
        return image, scale
    return cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), scale


# Name of a detector in configs -> function of a model path or None that makes the detector.
DETECTORS: dict[str, Callable[[str | None], Detector]] = {
    "haar": _make_haar,
    "yunet": _make_yunet,
    "none": _make_none,
}
