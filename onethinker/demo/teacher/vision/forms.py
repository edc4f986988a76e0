"""Classification of circle, square, diamond, triangle and star by how a mask fills its enclosing shapes."""

import cv2
import numpy as np
import numpy.typing as npt


def classify_form(mask: npt.NDArray[np.bool_]) -> str:
    """The form of a filled mask, or the empty string if it is none of the known ones.

    A star leaves gaps in its convex hull; a square fills its minimum-area rectangle (so does a diamond, which stands on
    a corner); a triangle fills its minimum enclosing triangle, a circle its minimum enclosing circle.
    """
    area = float(mask.sum())
    padded = np.pad(mask, 1).astype(np.uint8)
    contours, _ = cv2.findContours(padded, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not contours or area < 20:
        return ""
    contour = max(contours, key=cv2.contourArea)
    # A contour runs through pixel centres: half a pixel on every side is added to the outlines below.
    hull = cv2.convexHull(contour)
    hull_area = cv2.contourArea(hull) + cv2.arcLength(hull, True) / 2 + 1
    solidity = area / hull_area
    _, radius = cv2.minEnclosingCircle(contour)
    (_, (wide, tall), angle) = cv2.minAreaRect(contour)
    wide, tall = wide + 1, tall + 1
    if solidity < 0.82:
        return "star" if solidity > 0.42 and area / (np.pi * (radius + 0.5) ** 2) > 0.28 else ""
    if max(wide, tall) > 1.35 * min(wide, tall):
        return ""
    rectangle, circle = area / (wide * tall), area / (np.pi * (radius + 0.5) ** 2)
    if rectangle > 0.88 and circle < 0.85:
        return "diamond" if 22.5 < angle % 90 < 67.5 else "square"
    triangle_area, _ = cv2.minEnclosingTriangle(contour)
    if rectangle < 0.68 and area / (triangle_area + 1.5 * (wide + tall) / 2) > 0.78:
        return "triangle"
    return "circle" if circle > 0.86 and rectangle < 0.86 else ""
