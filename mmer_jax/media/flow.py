"""Dense optical flow and its color image, as in OpenCV's tutorial on optical flow.

https://docs.opencv.org/4.x/d4/dee/tutorial_optical_flow.html, section "Dense Optical Flow".
"""

import cv2
import numpy as np


def dense_flow(previous: np.ndarray, current: np.ndarray) -> np.ndarray:
    """Computes Farneback's optical flow (2003) with the tutorial's parameters.

    Args:
      previous: uint8 [h, w, 3] RGB, a frame.
      current: uint8 [h, w, 3] RGB, the next frame with the same crop.

    Returns:
      float32 [h, w, 2]: motion of each pixel of `previous` to the right and down, in pixels per
      frame.
    """
    # For two identical images Farneback's method returns a tenth of a pixel of motion near the
    # edges, which per-frame scaling of the flow image would turn into full brightness. Encoders do
    # repeat frames exactly where nothing moves.
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
    """Renders optical flow as colors: hue is the direction, value the speed, saturation is full.

    Right is red, down yellow-green, left cyan, up violet: OpenCV's hue is half the angle, 0..180,
    and y points down.

    Args:
      flow: float32 [h, w, 2], motion to the right and down in pixels per frame.
      scale: Speed in pixels per frame that is drawn with the value 255, like all higher speeds, so
        that images are comparable. With None the range from the lowest to the highest speed in this
        image is mapped to 0..255, as in the tutorial.

    Returns:
      uint8 [h, w, 3] RGB; black if nothing moves.

    Raises:
      ValueError: If `scale` is not above 0.
    """
    if scale is not None and not scale > 0:
        raise ValueError(f"the flow scale must be above 0 pixels, found {scale}")
    x, y = np.ascontiguousarray(flow[..., 0]), np.ascontiguousarray(flow[..., 1])
    magnitude, angle = cv2.cartToPolar(x, y, angleInDegrees=True)
    if scale is not None:
        value = np.minimum(magnitude / scale, 1)
    else:
        lowest, highest = magnitude.min(), magnitude.max()
        if highest > lowest:
            value = (magnitude - lowest) / (highest - lowest)
        else:  # the same speed everywhere: full brightness if there is motion, otherwise black
            value = np.full_like(magnitude, float(highest > 0))
    hsv = np.empty((*magnitude.shape, 3), np.uint8)
    hsv[..., 0] = np.round(angle / 2) % 180
    hsv[..., 1] = 255
    hsv[..., 2] = np.round(value * 255)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
