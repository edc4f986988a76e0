"""Rows of a snapshot as what a model reads: chat text, pixels decoded late, token ids.

A row's prompt is tokenised as generation will see it and its response on its own behind it, so the ids that SFT
trains on are the ids that RL continues, and the border between the two is exact. A batch goes through the model's
processor in one call, and comes out as its rows would one by one.
"""

import pickle
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from corpus.errors import OneThinkerError
from corpus.media import MediaError
from corpus.media.video import Frames
from trainers.config import settings
from trainers.frames import read_clip
from trainers.torchvision_schemas import declare

if TYPE_CHECKING:
    import torch

Row = Mapping[str, Any]

# What a processor makes of a row beside its pixels, which we make ourselves.
TEXT_KEYS = frozenset({"input_ids", "attention_mask", "mm_token_type_ids", "token_type_ids"})
# The pixels of all images (and of all videos) behind each other, and the grid that says where each one ends.
GRIDS = {"pixel_values": "image_grid_thw", "pixel_values_videos": "video_grid_thw"}


@settings
@dataclass(frozen=True)
class MediaLimits:
    """How much of a medium the model is shown; pixels are width times height after scaling.

    Defaults: OneThinker's SFT settings, images ≤ 802,816 px, video ≤ 100,352 px a frame, ≤ 128 frames at
    2 frames a second.
    """

    image_max_pixels: int = 802_816
    image_min_pixels: int = 3_136
    video_max_pixels_per_frame: int = 100_352
    video_min_pixels_per_frame: int = 4_096
    video_fps: float = 2.0
    video_max_frames: int = 128

    def __post_init__(self) -> None:
        """Refuse limits that no medium can meet."""
        for low, high in (
            ("image_min_pixels", "image_max_pixels"),
            ("video_min_pixels_per_frame", "video_max_pixels_per_frame"),
        ):
            if not 0 < getattr(self, low) <= getattr(self, high):
                raise ValueError(f"{low} {getattr(self, low)} must be above 0 and at most {high} {getattr(self, high)}")
        if not self.video_fps > 0 or self.video_max_frames < 2:
            raise ValueError("video_fps must be above 0 and video_max_frames at least 2")


@dataclass(frozen=True)
class Media:
    """A row's decoded media, in the order in which its prompt shows them."""

    images: tuple[Any, ...] = ()
    clips: tuple[Frames, ...] = ()


@dataclass(frozen=True)
class Encoded:
    """One row, ready for the model: ids, which of them to learn (-100: none), and the pixels by the model's own names.

    `kinds` is 0 for text, 1 for an image's and 2 for a video's token.
    """

    ids: list[int]
    labels: list[int]
    kinds: list[int]
    pixels: dict[str, "torch.Tensor"]

    def __len__(self) -> int:
        return len(self.ids)


class RowDropped(Exception):  # noqa: N818, it names what happens to the row
    """A row that cannot be trained on; `reason` is a stable word, the row's own, never a neighbour's."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason


class Encoder:
    """Encodes rows for one model's processor. The processor's limits are set here, and so saved with checkpoints."""

    def __init__(self, processor: Any, limits: MediaLimits | None = None, max_length: int | None = None) -> None:
        self.processor = processor
        self.limits = limits or MediaLimits()
        self.max_length = max_length
        self.tokenizer = processor.tokenizer
        _limit(processor, self.limits)
        named = {1: getattr(processor, "image_token_id", None), 2: getattr(processor, "video_token_id", None)}
        self.kinds: dict[int, int] = {kind: token for kind, token in named.items() if token is not None}
        self._kind_of = {token: kind for kind, token in self.kinds.items()}

    def __reduce__(self) -> Any:
        """A loader's worker unpickles this, and must know torchvision's schemas before it meets the processor."""
        return _unpacked, (pickle.dumps(self.__dict__),)

    @property
    def media_token_ids(self) -> list[int]:
        """The placeholder ids, which a model must never sample: each would want pixels of its own."""
        return sorted(self._kind_of)

    def media(self, row: Row) -> Media:
        """Decode a row's media. Raises RowDropped with the medium's reason."""
        try:
            images = tuple(_image(path) for path in image_paths(row))
            clips = tuple(read_clip(path, self._pick) for path in row.get("videos") or ())
        except MediaError as error:
            raise RowDropped(error.reason, error.detail) from error
        return Media(images, clips)

    def prompt_text(self, row: Row) -> str:
        """The user turns as chat text up to where the model speaks, one placeholder for each medium."""
        turns = [turn for turn in row["messages"] if turn["role"] != "assistant"]
        return self._rendered(turns, add_generation_prompt=True)

    def response_text(self, row: Row, prompt: str | None = None) -> str:
        """The assistant turn behind `prompt_text` (told where it is known), with the token that ends it."""
        whole = self._rendered(row["messages"], add_generation_prompt=False)
        prompt = self.prompt_text(row) if prompt is None else prompt
        if not whole.startswith(prompt):
            raise OneThinkerError(
                "this model's chat template writes the prompt differently once the answer is known, so what is "
                "trained would not be what is generated; give the processor a template that does not"
            )
        return whole[len(prompt) :].rstrip("\n")

    def prompt(self, row: Row, media: Media | None = None) -> Encoded:
        """The prompt alone, for generation. Raises RowDropped for media that cannot be used and for one too long."""
        return _sound(self.prompts([row], None if media is None else [media])[0])

    def prompts(
        self, rows: Sequence[Row], media: Sequence[Media | RowDropped] | None = None, texts: Sequence[str] | None = None
    ) -> list[Encoded | RowDropped]:
        """The prompts of a batch in one call of the processor; in place of a row that cannot be used, why.

        `media` are the rows' own, where they are decoded already, and `texts` what `prompt_text` says of them.
        """
        shown = [self._decoded(row) for row in rows] if media is None else media
        texts = [self.prompt_text(row) for row in rows] if texts is None else texts
        sound = [(self._bare(text), one) for text, one in zip(texts, shown, strict=True) if isinstance(one, Media)]
        encoded = iter(self._processed(sound))
        return [next(encoded) if isinstance(one, Media) else one for one in shown]

    def whole(self, row: Row) -> Encoded:
        """Prompt and response, the response's tokens as labels. Raises RowDropped for a row that cannot be used."""
        return _sound(self.wholes([row])[0])

    def wholes(self, rows: Sequence[Row]) -> list[Encoded | RowDropped]:
        """`whole` of every row of a batch. Nothing is ever cut: a row too long is dropped."""
        texts = [self.prompt_text(row) for row in rows]
        said = [self.response_text(row, text) for row, text in zip(rows, texts, strict=True)]
        responses = self.tokenizer(said, add_special_tokens=False)["input_ids"] if said else []
        prompts = self.prompts(rows, texts=texts)
        return [
            prompt if isinstance(prompt, RowDropped) else self._answered(prompt, response)
            for prompt, response in zip(prompts, responses, strict=True)
        ]

    def _answered(self, prompt: Encoded, response: list[int]) -> Encoded | RowDropped:
        if not self._kind_of.keys().isdisjoint(response):
            return RowDropped("media_token_in_response")
        length = len(prompt.ids) + len(response)
        if self.max_length is not None and length > self.max_length:
            return RowDropped("too_long", f"{length} tokens, the most is {self.max_length}")
        nothing = [-100] * len(prompt.ids), [0] * len(response)
        return Encoded(prompt.ids + response, nothing[0] + response, prompt.kinds + nothing[1], prompt.pixels)

    def _decoded(self, row: Row) -> Media | RowDropped:
        try:
            return self.media(row)
        except RowDropped as why:
            return why

    def _processed(self, sound: Sequence[tuple[str, Media]]) -> list[Encoded | RowDropped]:
        """Texts and their media through the processor: together where that can be taken apart again."""
        if len(sound) > 1 and self._separable and all(self._as_many(text, media) for text, media in sound):
            try:
                return self._called(sound)
            except ValueError:
                pass  # it refuses a medium of one of them; of which, it says one by one
        made: list[Encoded | RowDropped] = []
        for one in sound:
            try:
                made += self._called([one])
            except ValueError as error:  # an image 200 times as wide as high, say
                made.append(RowDropped("media_refused", str(error)))
        return made

    def _called(self, sound: Sequence[tuple[str, Media]]) -> list[Encoded | RowDropped]:
        """One call of the processor. Raises ValueError where it refuses any of the media."""
        inputs: dict[str, Any] = {"text": [text for text, _ in sound], "return_tensors": "pt", "padding": True}
        images = [list(media.images) for _, media in sound if media.images]
        clips = [media.clips for _, media in sound if media.clips]
        if images:
            inputs["images"] = images
        if clips:
            inputs["videos"] = [[_frames_first(clip) for clip in of_row] for of_row in clips]
            inputs["video_metadata"] = [[metadata_of(clip) for clip in of_row] for of_row in clips]
            inputs["do_sample_frames"] = False
        made = self.processor(**inputs)
        there = made["attention_mask"].bool()
        ids = [row[mask].tolist() for row, mask in zip(made["input_ids"], there, strict=True)]
        pixels = {name: value for name, value in made.items() if name not in TEXT_KEYS}
        parts = iter([pixels]) if len(sound) == 1 else _apart(pixels, [media for _, media in sound])
        return [self._prompt(row, part) for row, part in zip(ids, parts, strict=True)]

    def _prompt(self, ids: list[int], pixels: dict[str, "torch.Tensor"]) -> Encoded | RowDropped:
        if self.max_length is not None and len(ids) > self.max_length:
            return RowDropped("too_long", f"a prompt of {len(ids)} tokens, the most is {self.max_length}")
        return Encoded(ids, [-100] * len(ids), [self._kind_of.get(i, 0) for i in ids], pixels)

    @property
    def _separable(self) -> bool:
        """Whether each row's pixels can be told in what the processor makes of several: by grids, or not at all."""
        names = set(self.processor.model_input_names) - TEXT_KEYS
        return "image_grid_thw" in names and names <= GRIDS.keys() | set(GRIDS.values())

    def _as_many(self, text: str, media: Media) -> bool:
        """Whether a text has as many placeholders as media: in a batch, one too many would take its neighbour's."""
        p = self.processor
        return text.count(p.image_token) == len(media.images) and text.count(p.video_token) == len(media.clips)

    def _rendered(self, turns: list[Any], *, add_generation_prompt: bool) -> str:
        messages = [
            {"role": turn["role"], "content": [_part(part) for part in turn["content"]]}
            if not isinstance(turn["content"], str)
            else turn
            for turn in turns
        ]
        text: str = self.processor.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=add_generation_prompt
        )
        return text

    def _bare(self, text: str) -> str:
        """Qwen3-VL's processor puts vision marks round every frame itself; those of the template would double them."""
        if type(self.processor).__name__ != "Qwen3VLProcessor":
            return text
        p = self.processor
        return text.replace(f"{p.vision_start_token}{p.video_token}{p.vision_end_token}", p.video_token)

    def _pick(self, total: int, fps: float) -> list[int]:
        """The frames that the model's own video processor would sample from a file like this."""
        from transformers.video_utils import VideoMetadata

        sampler = self.processor.video_processor
        chosen = sampler.sample_frames(VideoMetadata(total_num_frames=total, fps=fps), fps=self.limits.video_fps)
        return [int(i) for i in chosen][: self.limits.video_max_frames]


def _unpacked(state: bytes) -> Encoder:
    declare()
    encoder = Encoder.__new__(Encoder)
    encoder.__dict__ |= pickle.loads(state)
    return encoder


def _sound(made: Encoded | RowDropped) -> Encoded:
    if isinstance(made, RowDropped):
        raise made
    return made


def _apart(pixels: Mapping[str, "torch.Tensor"], media: Sequence[Media]) -> Iterator[dict[str, "torch.Tensor"]]:
    """Each row's own part of a batch's pixels, by the grids that lie beside them."""
    parts: list[dict[str, torch.Tensor]] = [{} for _ in media]
    for name, grid_name in GRIDS.items():
        if name not in pixels:
            continue
        counts = [len(one.images if name == "pixel_values" else one.clips) for one in media]
        grids = pixels[grid_name].split(counts)
        patches = pixels[name].split([int(grid.prod(1).sum()) for grid in grids])
        for part, grid, of_row, count in zip(parts, grids, patches, counts, strict=True):
            if count:
                part |= {name: of_row, grid_name: grid}
    return iter(parts)


def image_paths(row: Row) -> list[str]:
    """The files of a row's images, whether the column is decoded or not."""
    return [image if isinstance(image, str) else image["path"] for image in row.get("images") or ()]


def _limit(processor: Any, limits: MediaLimits) -> None:
    images, videos = getattr(processor, "image_processor", None), getattr(processor, "video_processor", None)
    if images is not None and "longest_edge" in dict(images.size or {}):
        images.size = {"shortest_edge": limits.image_min_pixels, "longest_edge": limits.image_max_pixels}
    if videos is None:
        return
    videos.max_frames = limits.video_max_frames
    videos.fps = limits.video_fps
    if hasattr(videos, "cap_pixels_per_frame"):
        side = videos.patch_size * videos.merge_size
        videos.cap_pixels_per_frame = True
        videos.max_video_tokens = max(1, limits.video_max_pixels_per_frame // side**2)
        videos.size = {
            "shortest_edge": limits.video_min_pixels_per_frame,
            "longest_edge": limits.video_max_pixels_per_frame * limits.video_max_frames,
        }
    elif "longest_edge" in dict(videos.size or {}):
        videos.size = {
            "shortest_edge": limits.video_min_pixels_per_frame,
            "longest_edge": limits.video_max_pixels_per_frame,
        }


def _image(path: str) -> Any:
    from PIL import Image

    try:
        with Image.open(path) as opened:
            return opened.convert("RGB")
    except FileNotFoundError as error:
        raise MediaError("media_missing", path) from error
    except Exception as error:  # Pillow raises whatever its decoders meet
        raise MediaError("media_unreadable", f"{path}: {type(error).__name__}: {str(error)[:200]}") from error


def _part(part: Mapping[str, Any]) -> dict[str, Any]:
    """A content part without the empty keys that Arrow wants, by which templates would take text for an image."""
    return {"type": part["type"], "text": part["text"]} if part["type"] == "text" else {"type": part["type"]}


def _frames_first(clip: Frames) -> "torch.Tensor":
    import torch

    return torch.from_numpy(clip.pixels).permute(0, 3, 1, 2)


def metadata_of(clip: Frames) -> dict[str, Any]:
    """What a video processor wants to know of frames that were sampled already."""
    # An index is told as time × rate, so that index ÷ rate is the frame's own time even where the rate varies.
    return {
        "total_num_frames": clip.total,
        "fps": clip.fps,
        "frames_indices": [time * clip.fps for time in clip.times_s],
    }
