"""Dense optical flow and its image, as in OpenCV's tutorial on optical flow.

https://docs.opencv.org/4.x/d4/dee/tutorial_optical_flow.html, part "Dense Optical Flow".
"""

import cv2
import numpy as np


def dense_flow(previous: np.ndarray, current: np.ndarray) -> np.ndarray:
    """Farneback's flow (2003) with the tutorial's parameters.

    Args:
      previous, current: uint8 [h, w, 3] RGB, two frames on the same crop.

    Returns:
      float32 [h, w, 2]: for each pixel of `previous`, how far it moved right and down, in pixels.
    """
    # Of two equal images Farneback's method makes a tenth of a pixel of motion near the edges,
    # and stretching the image to its own minimum and maximum would turn that into full color.
    # Encoders repeat a frame exactly where nothing moves, so this happens.
    if np.array_equal(previous, current):
        return np.zeros((*previous.shape[:2], 2), np.float32)
    return cv2.calcOpticalFlowFarneback(
        cv2.cvtColor(previous, cv2.COLOR_RGB2GRAY),
        cv2.cvtColor(current, cv2.COLOR_RGB2GRAY),
        None,
        pyr_scale=0.5,
        levels=3,
        winsize=15,
        iterations=3,
        poly_n=5,
        poly_sigma=1.2,
        flags=0,
    )


def flow_image(flow: np.ndarray, scale: float | None) -> np.ndarray:
    """Flow as a color: hue is the direction, value the speed, saturation is full.

    Right is red, down yellow-green, left cyan, up violet: OpenCV's hue is the angle halved, 0..180,
    and y points down.

    Args:
      flow: float32 [h, w, 2], pixels to the right and down.
      scale: None stretches this image's slowest..fastest to 0..255, as the tutorial does; a
        number is the speed in pixels that gets 255 (faster ones too), so that images compare.

    Returns:
      uint8 [h, w, 3] RGB; black where there is no motion at all.

    Raises:
      ValueError: a scale that is not positive.
    """
    if scale is not None and not scale > 0:
        raise ValueError(f"the flow's scale must be above 0 pixels, found {scale}")
    x, y = np.ascontiguousarray(flow[..., 0]), np.ascontiguousarray(flow[..., 1])
    magnitude, angle = cv2.cartToPolar(x, y, angleInDegrees=True)
    if scale is not None:
        value = np.minimum(magnitude / scale, 1)
    else:
        slowest, fastest = magnitude.min(), magnitude.max()
        if fastest > slowest:
            value = (magnitude - slowest) / (fastest - slowest)
        else:  # the same speed everywhere: full where things move, black where nothing does
            value = np.full_like(magnitude, float(fastest > 0))
    hsv = np.empty((*magnitude.shape, 3), np.uint8)
    hsv[..., 0] = np.round(angle / 2) % 180
    hsv[..., 1] = 255
    hsv[..., 2] = np.round(value * 255)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
