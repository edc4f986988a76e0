"""Saliency of unknown images and videos: what differs most from the border, and when frames change."""

import itertools

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]


def salient_mask(pixels: Pixels) -> npt.NDArray[np.bool_]:
    """The largest region of an RGB image that differs from the border's colour, else its middle."""
    height, width = pixels.shape[:2]
    small = cv2.resize(pixels, (96, 96), interpolation=cv2.INTER_AREA)
    lab = cv2.GaussianBlur(cv2.cvtColor(small, cv2.COLOR_RGB2LAB), (5, 5), 0).astype(np.float32)
    border = np.concatenate([lab[:6].reshape(-1, 3), lab[-6:].reshape(-1, 3), lab[:, :6].reshape(-1, 3)])
    difference = np.linalg.norm(lab - np.median(border, axis=0), axis=2)
    scaled = np.clip(255 * difference / max(float(difference.max()), 1e-6), 0, 255).astype(np.uint8)
    _, find_extreme = cv2.threshold(scaled, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(find_extreme)
    mask = np.zeros((96, 96), np.uint8)
    if count > 1 and difference.max() > 8:
        mask[labels == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())] = 1
    else:
        mask[24:72, 24:72] = 1
    return cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST).astype(bool)


def activity(frames: list[Pixels]) -> list[float]:
    """The mean absolute difference of each frame from the one before; 0 for the first."""
    small = [cv2.resize(cv2.cvtColor(f, cv2.COLOR_RGB2GRAY), (64, 64), interpolation=cv2.INTER_AREA) for f in frames]
    changes = [float(cv2.absdiff(a, b).mean()) for a, b in itertools.pairwise(small)]
    return [0.0, *changes]
