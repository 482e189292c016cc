"""Still-picture compression, and a cheap likeness of low-bit-rate video."""

import cv2
import numpy as np

from training.synth.canvas import Image
from training.synth.dice import Dice


def jpeg(dice: Dice, image: Image, quality: int) -> Image:
    """JPEG with the block grid at a random offset."""
    y, x = dice.below(8), dice.below(8)
    padded = cv2.copyMakeBorder(image, y, 0, x, 0, cv2.BORDER_REPLICATE)
    _, data = cv2.imencode(".jpg", padded, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)[y:, x:]


def smear(dice: Dice, image: Image, height: float) -> Image:
    """Detail lost as in starved video: shrunk, smoothed, colour spread, compressed, grown again."""
    rows, columns = image.shape[:2]
    share = min(1.0, dice.uniform(8.0, 16.0) / max(height, 8.0))
    size = (max(12, round(columns * share)), max(6, round(rows * share)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    if dice.chance(0.5):
        small = (
            cv2.medianBlur(small, 3)
            if dice.chance(0.4)
            else cv2.bilateralFilter(small, 5, dice.uniform(15, 45), 2)
        )
    if dice.chance(0.6):
        separate = cv2.cvtColor(small, cv2.COLOR_BGR2YCrCb)
        separate[..., 1:] = cv2.blur(separate[..., 1:], (5, 5))
        small = cv2.cvtColor(separate, cv2.COLOR_YCrCb2BGR)
    small = jpeg(dice, np.asarray(small, np.uint8), dice.between(18, 60))
    way = cv2.INTER_LINEAR if dice.chance(0.5) else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(small, (columns, rows), interpolation=way), np.uint8)
