"""The scenes of one world, drawn when first asked for and written to its folder."""

import zlib
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from onethinker.demo.world import clips, stills
from onethinker.demo.world.drawing import Pixels


class Stage:
    """Scenes by number; the same seed, split and number give the same scene, whoever asks first.

    Questions of several families share scene N, as questions in real corpora share pictures and videos. `split`
    keeps scenes apart, so that no evaluation picture was ever trained on.
    """

    def __init__(self, folder: Path, seed: int, split: str) -> None:
        self.folder, self.seed, self.split = folder, seed, split
        for kind in ("images", "videos"):
            (folder / kind / split).mkdir(parents=True, exist_ok=True)
        # A cache for each stage: the scenes go when the stage goes.
        self.picture = cache(self._picture)
        self.sign = cache(self._sign)
        self.card = cache(self._card)
        self.gauge = cache(self._gauge)
        self.clip = cache(self._clip)
        self.words = cache(self._words)
        self.numbers = cache(self._numbers)

    def rng(self, *what: object) -> np.random.Generator:
        """Random numbers for one purpose, independent of what was asked before."""
        return np.random.default_rng([self.seed, zlib.crc32(repr((self.split, *what)).encode())])

    def _picture(self, number: int) -> tuple[stills.Picture, str]:
        scene = stills.picture(self.rng("picture", number))
        return scene, self._image("picture", number, scene.pixels)

    def _sign(self, number: int) -> tuple[stills.Sign, str]:
        scene = stills.street_sign(self.rng("sign", number))
        return scene, self._image("sign", number, scene.pixels)

    def _card(self, number: int) -> tuple[stills.Card, str]:
        scene = stills.sum_card(self.rng("card", number))
        return scene, self._image("card", number, scene.pixels)

    def _gauge(self, number: int) -> tuple[stills.Gauge, str]:
        scene = stills.gauge(self.rng("gauge", number))
        return scene, self._image("gauge", number, scene.pixels)

    def _clip(self, number: int) -> tuple[clips.Clip, str]:
        scene = clips.clip(self.rng("clip", number))
        return scene, self._video("clip", number, scene)

    def _words(self, number: int) -> tuple[clips.Slides, str]:
        scene = clips.word_slides(self.rng("words", number))
        return scene, self._video("words", number, scene)

    def _numbers(self, number: int) -> tuple[clips.Slides, str]:
        scene = clips.number_slides(self.rng("numbers", number))
        return scene, self._video("numbers", number, scene)

    def _image(self, kind: str, number: int, pixels: Pixels) -> str:
        path = f"images/{self.split}/{kind}-{number:04}.jpg"
        Image.fromarray(pixels).save(self.folder / path, quality=92)
        return path

    def _video(self, kind: str, number: int, scene: clips.Clip | clips.Slides) -> str:
        path = f"videos/{self.split}/{kind}-{number:04}.mp4"
        clips.write_mp4(scene.frames(), self.folder / path)
        return path
