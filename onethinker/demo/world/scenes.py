"""The scenes of one world: generated on first use, and written to its folder."""

import zlib
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from onethinker.demo.world import images, videos
from onethinker.demo.world.drawing import Pixels


class Scenes:
    """Scenes by number, each with its file; the same seed, split and number give the same scene in any order.

    Questions of several families share scene N, as questions of real datasets share images and videos. No scene of
    one `split` is in another, so no evaluation image was trained on.
    """

    def __init__(self, folder: Path, seed: int, split: str) -> None:
        self.folder, self.seed, self.split = folder, seed, split
        for kind in ("images", "videos"):
            (folder / kind / split).mkdir(parents=True, exist_ok=True)
        # A cache for each object, so that the scenes are freed with it.
        self.shapes_image = cache(self._shapes_image)
        self.sign = cache(self._sign)
        self.card = cache(self._card)
        self.gauge = cache(self._gauge)
        self.shapes_video = cache(self._shapes_video)
        self.words = cache(self._words)
        self.numbers = cache(self._numbers)

    def rng(self, *purpose: object) -> np.random.Generator:
        """Random numbers for one purpose, independent of all others."""
        return np.random.default_rng([self.seed, zlib.crc32(repr((self.split, *purpose)).encode())])

    def _shapes_image(self, number: int) -> tuple[images.ShapesImage, str]:
        scene = images.make_shapes_image(self.rng("picture", number))
        return scene, self._write_image("picture", number, scene.pixels)

    def _sign(self, number: int) -> tuple[images.SignImage, str]:
        scene = images.make_sign_image(self.rng("sign", number))
        return scene, self._write_image("sign", number, scene.pixels)

    def _card(self, number: int) -> tuple[images.CardImage, str]:
        scene = images.make_card_image(self.rng("card", number))
        return scene, self._write_image("card", number, scene.pixels)

    def _gauge(self, number: int) -> tuple[images.GaugeImage, str]:
        scene = images.make_gauge_image(self.rng("gauge", number))
        return scene, self._write_image("gauge", number, scene.pixels)

    def _shapes_video(self, number: int) -> tuple[videos.ShapesVideo, str]:
        scene = videos.make_shapes_video(self.rng("clip", number))
        return scene, self._write_video("clip", number, scene)

    def _words(self, number: int) -> tuple[videos.TextSlides, str]:
        scene = videos.make_word_slides(self.rng("words", number))
        return scene, self._write_video("words", number, scene)

    def _numbers(self, number: int) -> tuple[videos.TextSlides, str]:
        scene = videos.make_number_slides(self.rng("numbers", number))
        return scene, self._write_video("numbers", number, scene)

    def _write_image(self, kind: str, number: int, pixels: Pixels) -> str:
        path = f"images/{self.split}/{kind}-{number:04}.jpg"
        Image.fromarray(pixels).save(self.folder / path, quality=92)
        return path

    def _write_video(self, kind: str, number: int, scene: videos.ShapesVideo | videos.TextSlides) -> str:
        path = f"videos/{self.split}/{kind}-{number:04}.mp4"
        videos.write_mp4(scene.frames(), self.folder / path)
        return path
