"""Drawing of a head: shaded skin, hair, eyes, brows, nose and mouth.

All lengths are in face units (1 is half the width of an average face), x points right, y down, and
(0, 0) is between the eyes and the nose. Shading matters: a face detector responds to dark eye
sockets next to a bright nose and bright cheeks, not to outlines.
"""

import cv2
import numpy as np

from mmer_jax.synthetic.actor import Actor
from mmer_jax.synthetic.paint import Canvas, both, clamp, curve, ellipse, line, mirrored

LEFT, RIGHT, TOP, BOTTOM = -1.4, 1.4, -1.9, 1.8  # extent of the image of a head, in face units
EYE_Y, MOUTH_Y = -0.14, 0.80  # heights of the eyes and of the mouth at rest

# Light and shade on a face: (x, y, radius x, radius y, gain). Those with x > 0 are mirrored.
_RELIEF = (
    (0.00, -0.72, 0.55, 0.28, +0.12),  # forehead
    (0.50, 0.27, 0.24, 0.20, +0.17),  # cheeks
    (0.00, 0.08, 0.085, 0.34, +0.20),  # bridge of the nose
    (0.00, 0.36, 0.11, 0.08, +0.14),  # tip of the nose
    (0.43, -0.20, 0.25, 0.14, -0.34),  # eye sockets
    (0.19, -0.18, 0.09, 0.15, -0.22),  # between eye and nose
    (0.21, 0.25, 0.07, 0.22, -0.13),  # sides of the nose
    (0.00, 0.54, 0.20, 0.065, -0.26),  # under the nose
    (0.00, 1.03, 0.22, 0.06, -0.16),  # under the lips
    (0.00, 1.20, 0.20, 0.10, +0.08),  # chin
    (0.72, 0.62, 0.18, 0.30, -0.10),  # hollow of the cheeks
)
_CHEEK_FOLD = line(curve([(0.25, 0.40), (0.42, 0.58), (0.50, 0.80)]), 0.04)
_EYE_BAG = line(curve([(0.24, 0.03), (0.42, 0.08), (0.62, 0.02)]), 0.03)
_FOREHEAD_LINES = [
    line(curve([(-0.42, y + 0.02), (0, y - 0.02), (0.42, y + 0.02)]), 0.025) for y in (-0.82, -0.72)
]


class HeadPainter:
    """Painter of the head in one clip. Layers that do not change between frames are drawn once.

    Args:
      actor: The actor.
      scale: Pixels per face unit.
      light: Direction of the light, from -1 (left in the image) to 1 (right).
      brightness: Factor on the brightness of skin and hair.
      rng: Generator for the strands of hair.
    """

    def __init__(
        self,
        actor: Actor,
        scale: float,
        light: float,
        brightness: float,
        rng: np.random.Generator,
    ):
        self.actor = actor
        self.scale = scale
        self.origin = (-LEFT * scale, -TOP * scale)
        self.shape = (round((BOTTOM - TOP) * scale), round((RIGHT - LEFT) * scale))
        self.skin = np.array(actor.skin) * brightness
        self.hair = np.array(actor.hair) * brightness
        self.lips = np.array(actor.lips) * brightness
        self.brightness = brightness
        self._one = np.ones(self.shape, np.float32)
        self._relief = self._make_relief()
        lit = self._make_light(light)
        self._lit_skin = cv2.merge([*(lit * np.float32(value) for value in self.skin), self._one])
        self._behind = self._make_behind()
        self._hair = self._make_hair(rng)
        self._not_hair = 1 - cv2.merge([self._hair[..., 3]] * 4)

    # Layers that are constant within a clip ---------------------------------------------------

    def _points(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns the coordinates of a coarse grid, x and y in face units, each float [h, w].

        A third of the resolution suffices for shading.
        """
        h, w = (max(n // 3, 8) for n in self.shape)
        return np.meshgrid(np.linspace(LEFT, RIGHT, w), np.linspace(TOP, BOTTOM, h))

    def _full(self, field: np.ndarray) -> np.ndarray:
        """Enlarges values on the coarse grid to the full resolution, float32 [h, w]."""
        size = self.shape[::-1]
        return cv2.resize(field.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)

    def _make_relief(self) -> np.ndarray:
        """Computes light and shade on the face: factors on the skin color, float32 [h, w]."""
        x, y = self._points()
        field = np.ones_like(x)
        dark = self.actor.tone >= 7  # on dark skin, light shows more as gloss than as shade
        for cx, cy, rx, ry, gain in _RELIEF:
            if cy > 0.9:
                cy += self.actor.chin - 1.38
            gain = gain * (1.9 if dark and gain > 0 else 1.0)
            for side in (1, -1) if cx > 0 else (1,):
                d = ((x - side * cx) / rx) ** 2 + ((y - cy) / ry) ** 2
                field *= 1 + gain * np.exp(-d)
        return self._full(field)

    def _make_light(self, light: float) -> np.ndarray:
        """Computes the shading of the round head, darker at the edges and away from the light.

        Args:
          light: Direction of the light, from -1 (left in the image) to 1 (right).

        Returns:
          float32 [h, w], factors on the skin color.
        """
        x, y = self._points()
        edge = np.clip((x / self.actor.width) ** 2 + ((y - 0.05) / 1.45) ** 2, 0, 1.6)
        field = (1.06 - 0.30 * edge**1.5) * (1 + 0.13 * light * x) * (1 - 0.05 * y)
        return self._full(field)

    def _empty(self) -> Canvas:
        return Canvas(np.zeros((*self.shape, 4), np.float32), self.scale, self.origin)

    def _make_behind(self) -> np.ndarray:
        """Draws the hair behind the head, and the ears.

        Returns:
          float32 [h, w, 4]: premultiplied RGB in 0..255, coverage in 0..1.
        """
        a, canvas = self.actor, self._empty()
        w = a.width
        if a.hair_style == "long":
            half = [(0, -1.66), (0.7, -1.52), (1.16, -0.95), (1.28, -0.1), (1.3, 0.8), (1.16, 1.65)]
            canvas.fill(mirrored(curve([*half, (0.5, 1.75)])), 0.72 * self.hair)
        elif a.hair_style == "bun":
            canvas.fill(ellipse(0, -1.55, 0.36, 0.32), 0.8 * self.hair)
        if a.hair_style != "long":
            canvas.fill(both(ellipse(w + 0.02, 0.06, 0.13, 0.25)), 0.80 * self.skin)
            canvas.fill(both(ellipse(w + 0.04, 0.06, 0.06, 0.15)), 0.75, blur=0.02)
        return canvas.image

    def _make_hair(self, rng: np.random.Generator) -> np.ndarray:
        """Draws the hair in front of the head.

        Args:
          rng: Generator for the strands of hair.

        Returns:
          float32 [h, w, 4]: premultiplied RGB in 0..255, coverage in 0..1.
        """
        a, canvas = self.actor, self._empty()
        w, line_y = a.width, a.hair_line
        thick = {"cropped": 0.07, "short": 0.16, "bun": 0.10, "long": 0.17}[a.hair_style]
        low = {"cropped": -0.35, "short": -0.30, "bun": -0.40, "long": 0.30}[a.hair_style]
        outer = [(0, -1.36 - thick), (0.55 * w, -1.27 - thick), (0.93 * w + thick, -0.8)]
        outer += [(w + 0.5 * thick, low - 0.2), (w + 0.02, low)]
        inner = [(w - 0.03, low - 0.05), (0.86 * w, -0.62), (0.52 * w, line_y + 0.02), (0, line_y)]
        shape = mirrored(np.concatenate([curve(outer), curve(inner)]))
        canvas.fill(shape, self.hair)
        strands = []
        for _ in range(14):
            x, lean = float(rng.uniform(-0.95, 0.95)), 0.15 * float(rng.standard_normal())
            top = -1.34 - thick + 0.5 * x * x
            ends = (0.8 * x, top), (1.1 * x + lean, line_y + 0.1)
            strands.append(line(curve([ends[0], (x + lean / 2, top + 0.2), ends[1]]), 0.03))
        canvas.fill(strands, 1.35, 0.6, blur=0.01, within=shape)
        return canvas.image

    # Layers that change from frame to frame ---------------------------------------------------

    def paint(self, c: dict[str, float]) -> np.ndarray:
        """Draws the head of one frame.

        Args:
          c: Controls by name, from expression.Performance.frame.

        Returns:
          uint8 [h, w, 4], premultiplied RGB and coverage, each in 0..255.
        """
        jaw = 0.16 * max(c["jaw"], 0) + 0.09 * c["opening"] * (1 - 0.5 * max(c["lip_press"], 0))
        # When the head turns, the features in front move relative to the outline.
        fx = 0.16 * clamp(c["yaw"], -1.6, 1.6) * self.scale
        fy = 0.12 * clamp(c["pitch"], -2, 2) * self.scale
        shift = np.array([[1, 0, fx], [0, 1, fy]], np.float32)
        relief = cv2.warpAffine(self._relief, shift, self.shape[::-1], borderValue=1)
        skin = cv2.merge([relief, relief, relief, self._one])
        skin *= self._lit_skin
        face = Canvas(skin, self.scale, (self.origin[0] + fx, self.origin[1] + fy))
        self._paint_beard(face)
        self._paint_creases(face, c)
        self._paint_nose(face, c)
        self._paint_eyes(face, c)
        self._paint_brows(face, c)
        self._paint_mouth(face, c, jaw)
        np.minimum(skin, 255, out=skin)

        out = self._behind.copy()
        region, cover = Canvas(out, self.scale, self.origin).mask(self._outline(jaw))
        cover = cv2.merge([cover] * 4)
        view = out[region]  # changed in place
        view *= 1 - cover
        view += cover * skin[region]
        out *= self._not_hair
        out += self._hair
        cv2.multiply(out, (1, 1, 1, 255), dst=out)
        return cv2.convertScaleAbs(out)

    def _outline(self, jaw: float) -> np.ndarray:
        """Returns the outline of the head, float [n, 2], with the jaw dropped by `jaw`."""
        a = self.actor
        w, chin = a.width, a.chin + 0.9 * jaw
        half = [(0, -1.36), (0.55 * w, -1.27), (0.90 * w, -0.80), (w, -0.10), (0.96 * w, 0.42)]
        half += [(a.jaw, 0.93 + 0.5 * jaw), (0.40, chin - 0.10), (0, chin)]
        return curve([*half, *((-x, y) for x, y in half[-2:0:-1])], closed=True)

    def _paint_beard(self, face: Canvas) -> None:
        w = self.actor.width
        half = [(0, 0.62), (0.42, 0.64), (0.62, 0.52), (w, 0.2), (w, 1.0), (0.5, 1.6), (0, 1.7)]
        color = 0.6 * self.hair + 0.15 * self.skin
        face.fill(mirrored(half), color, 0.75 * self.actor.beard, blur=0.06)

    def _paint_creases(self, face: Canvas, c: dict[str, float]) -> None:
        knit, wrinkle = max(c["brow_knit"], 0), max(c["nose_wrinkle"], 0)
        frown = knit * max(-c["brow_inner"], 0) + 0.4 * knit
        raised = max(0.5 * c["brow_inner"] + 0.5 * c["brow_outer"], 0)
        smile, sneer, cheek = max(c["lip_corner"], 0), max(c["lip_upper"], 0), max(c["cheek"], 0)
        between = line([(0.07, -0.58), (0.06, -0.38)], 0.035)
        face.fill(both(between), 0.45, min(frown, 1), blur=0.012)
        nose = [line([(0.03, y + 0.04), (0.15, y - 0.02)], 0.03) for y in (-0.12, -0.02, 0.08)]
        face.fill(both(*nose), 0.55, min(0.8 * wrinkle, 1), blur=0.012)
        depth = min(0.75 * max(smile, 0.8 * sneer, 0.6 * wrinkle), 1)
        face.fill(both(_CHEEK_FOLD), 0.62, depth, blur=0.018)
        face.fill(both(ellipse(0.48, 0.26, 0.20, 0.14)), 1.14, min(cheek, 1), blur=0.06)
        face.fill(both(_EYE_BAG), 0.70, min(0.25 + 0.5 * cheek, 1), blur=0.014)
        face.fill(_FOREHEAD_LINES, 0.72, min(0.9 * raised, 1), blur=0.012)

    def _paint_nose(self, face: Canvas, c: dict[str, float]) -> None:
        a, wrinkle = self.actor, max(c["nose_wrinkle"], 0)
        y, w = a.nose_length + 0.04 - 0.05 * wrinkle, a.nose_width * (1 + 0.15 * wrinkle)
        wing = curve([(w * 0.9, y - 0.10), (w * 1.08, y), (w * 0.7, y + 0.06)])
        face.fill(both(line(wing, 0.035)), 0.62, 0.9, blur=0.012)
        nostril = ellipse(w * 0.48, y + 0.045, 0.065, 0.030)
        face.fill(both(nostril), 0.28, 0.9, blur=0.008)

    def _paint_eyes(self, face: Canvas, c: dict[str, float]) -> None:
        a = self.actor
        x, y, w = a.eye_gap, EYE_Y, a.eye_size
        opened = (1 + 0.55 * c["lid_upper"]) * (1 - min(c["blink"], 1))
        upper = w * 0.48 * clamp(opened, 0.03, 1.7)
        low = 1 - 0.6 * max(c["lid_lower"], 0) - 0.25 * max(c["cheek"], 0)
        lower = w * 0.30 * clamp(low, 0.2, 1) * min(1, 0.2 + clamp(opened, 0, 1))
        inner, outer = (x - w, y + 0.02), (x + w, y - a.eye_tilt)
        lid = curve([inner, (x - 0.35 * w, y - 0.9 * upper), (x + 0.3 * w, y - upper), outer])
        rim = curve([outer, (x + 0.3 * w, y + lower), (x - 0.4 * w, y + 0.8 * lower), inner])
        eyes = both(np.concatenate([lid, rim]))
        # Darker on the darkest skin tones, where the white of the eyes would dominate the image.
        white = np.array([222, 216, 210]) * self.brightness * (0.72 if a.tone >= 7 else 0.92)
        face.fill(eyes, white)
        r = 0.52 * w
        gx = 0.05 * clamp(c["yaw"], -1, 1)  # both eyes look the same way
        gy = y - 0.02 - 0.06 * clamp(c["gaze"], -1.2, 1.2)

        def discs(radius: float, dx: float = 0.0, dy: float = 0.0) -> list[np.ndarray]:
            return [ellipse(s * x + gx + dx, gy + dy, radius, radius) for s in (1, -1)]

        face.fill(discs(r), np.array(a.iris) * self.brightness, within=eyes)
        face.fill(discs(0.5 * r), (14, 12, 12), within=eyes)
        face.fill(discs(0.025, 0.03, -0.04), (235, 235, 235), 0.9, within=eyes)
        lid_shadow = both(line(lid + np.array([0, 0.02]), 0.06))
        face.fill(lid_shadow, 0.55, 0.6, blur=0.015)
        face.fill(both(line(lid, 0.042)), (24, 18, 16), 0.95)
        face.fill(both(line(rim, 0.018)), 0.5, 0.8)
        fold = curve([(x - 0.9 * w, y - 0.03), (x, y - upper - 0.075), (x + w, y - 0.05)])
        face.fill(both(line(fold, 0.022)), 0.6, 0.7, blur=0.008)

    def _paint_brows(self, face: Canvas, c: dict[str, float]) -> None:
        a = self.actor
        inside, outside = clamp(c["brow_inner"], -1.3, 1.3), clamp(c["brow_outer"], -1.2, 1.2)
        knit, w, y = clamp(c["brow_knit"], -0.3, 1.2), a.eye_size, a.brow_height
        y_in = y - (0.17 if inside > 0 else 0.15) * inside
        y_out = y + 0.05 - 0.13 * outside
        x_in = a.eye_gap - 1.05 * w - 0.055 * knit
        x_mid, x_out = a.eye_gap + 0.25 * w, a.eye_gap + 1.35 * w
        y_mid = 0.45 * y_in + 0.55 * y_out - 0.055 + 0.03 * clamp(inside, -1, 1)
        quarter = ((x_in + x_mid) / 2, (y_in + y_mid) / 2 - 0.015)
        brow = curve([(x_in, y_in), quarter, (x_mid, y_mid), (x_out, y_out)])
        taper = np.interp(np.linspace(0, 1, len(brow)), [0, 0.5, 1], [1.1, 1, 0.35])
        width = a.brow_thickness * taper
        color = np.minimum(0.75 * self.hair, 0.55 * self.skin)
        face.fill(both(line(brow, 1.5 * width)), color, 0.35, blur=0.025)
        face.fill(both(line(brow, width)), color, 0.92, blur=0.008)

    def _paint_mouth(self, face: Canvas, c: dict[str, float], jaw: float) -> None:
        a = self.actor
        press, raised = clamp(c["lip_press"], 0, 1), max(c["lip_upper"], 0)
        corner = clamp(c["lip_corner"], -1.3, 1.3)
        stretch = c["lip_stretch"] - 0.6 * c["rounding"]
        w = a.mouth_width * (1 + 0.30 * clamp(stretch, -1, 1.2))
        full = a.lip_fullness * (1 - 0.55 * press) * (1 - 0.25 * max(c["lip_stretch"], 0))
        gap = 0.28 * max(c["jaw"], 0) + 0.24 * c["opening"] * (1 - 0.45 * press)
        gap += 0.05 * max(corner, 0) * max(stretch, 0) + 0.07 * raised
        y = MOUTH_Y + 0.05 * corner  # a smile lowers the middle relative to the corners
        y_corner = MOUTH_Y + 0.25 * jaw - 0.14 * corner
        top = y - 0.28 * gap - 0.10 * raised
        bottom = y + 0.72 * gap
        k = 0.55 * w

        def arc(middle: float, dip: float = 0.0) -> np.ndarray:
            side = 0.72 * middle + 0.28 * y_corner  # height of a parabola at k
            return curve([(-w, y_corner), (-k, side), (0, middle + dip), (k, side), (w, y_corner)])

        inner_top, inner_bottom = arc(top), arc(max(bottom, top + 0.012))
        outer_top = arc(top - full, 0.25 * full)
        outer_bottom = arc(max(bottom, top) + 1.25 * full)
        face.fill(np.concatenate([outer_top, outer_bottom[::-1]]), self.lips, 0.95, blur=0.006)
        gloss = line(outer_bottom[6:-6] - np.array([0, 0.5 * full]), 0.4 * full)
        face.fill(gloss, 1.18, 0.8, blur=0.02)
        inside = np.concatenate([inner_top, inner_bottom[::-1]])
        face.fill(inside, np.array([46, 16, 18]) * self.brightness)
        if gap > 0.05:
            teeth = inner_top + np.array([0, 0.02])
            shown = clamp(0.55 + 0.45 * corner + 0.5 * raised, 0.15, 1.2)
            height = min(0.12, 0.55 * gap) * shown
            band = np.concatenate([teeth, (teeth + np.array([0, height]))[::-1]])
            white = np.array([226, 220, 208]) * self.brightness
            face.fill(band, white, 0.92, within=inside)
        if gap > 0.14:
            tongue = ellipse(0, bottom, 0.55 * w, 0.35 * gap)
            face.fill(tongue, np.array([150, 70, 74]) * self.brightness, 0.8, within=inside)
        face.fill(line(inner_top, 0.022), 0.35, 0.9)
        face.fill(both(ellipse(w + 0.01, y_corner, 0.035, 0.03)), 0.6, 0.8, blur=0.015)
