"""Snapshot rows encoded for a model: chat text, token ids, and pixels that are decoded on use.

The prompt is tokenised exactly as for generation and the response is tokenised separately and appended, so SFT trains
on the ids that RL continues and the boundary is exact. A batch takes one processor call and gives the same result as
row by row.
"""

import pickle
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from corpus.errors import OneThinkerError
from corpus.media import MediaError
from corpus.media.image import open_image
from corpus.media.video import Frames
from corpus.ranges import ABOVE_0, Range
from trainers.config import check_ranges, settings
from trainers.frames import read_clip
from trainers.torchvision_schemas import declare

if TYPE_CHECKING:
    import torch

Row = Mapping[str, Any]

# Processor outputs that are not pixels; we compute these ourselves.
TEXT_KEYS = frozenset({"input_ids", "attention_mask", "mm_token_type_ids", "token_type_ids"})
# Concatenated pixels → the grids that give each medium's patches.
GRIDS = {"pixel_values": "image_grid_thw", "pixel_values_videos": "video_grid_thw"}


@settings
@dataclass(frozen=True)
class MediaLimits:
    """How much of a medium the model sees; pixels are width × height after scaling.

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
        """Raise ValueError for limits that no medium can meet."""
        for low, high in (
            ("image_min_pixels", "image_max_pixels"),
            ("video_min_pixels_per_frame", "video_max_pixels_per_frame"),
        ):
            if not 0 < getattr(self, low) <= getattr(self, high):
                raise ValueError(f"{low} {getattr(self, low)} must be above 0 and at most {high} {getattr(self, high)}")
        check_ranges(self, {"video_fps": ABOVE_0, "video_max_frames": Range(2)})


@dataclass(frozen=True)
class Media:
    """A row's decoded media, in the order in which its prompt shows them."""

    images: tuple[Any, ...] = ()
    clips: tuple[Frames, ...] = ()


@dataclass(frozen=True)
class EncodedRow:
    """One row, ready for the model: token ids, labels (-100: no loss), and pixels by the model's own input names.

    `kinds` is 0 for text, 1 for an image's and 2 for a video's token.
    """

    ids: list[int]
    labels: list[int]
    kinds: list[int]
    pixels: dict[str, "torch.Tensor"]

    def __len__(self) -> int:
        return len(self.ids)


class RowDropped(Exception):  # noqa: N818, it names what happens to the row
    """A row that cannot be trained on; `reason` is a stable word about this row alone."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason


class Encoder:
    """Encodes rows with a model's processor. Sets the processor's media limits, so checkpoints save them."""

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
        """Pickle the state as bytes: a worker must declare torchvision's schemas before it loads the processor."""
        return _unpickle, (pickle.dumps(self.__dict__),)

    @property
    def media_token_ids(self) -> list[int]:
        """The placeholder ids, which generation must suppress: each would need pixels of its own."""
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
        """The user turns as chat text, up to the start of the assistant turn, with one placeholder per medium."""
        turns = [turn for turn in row["messages"] if turn["role"] != "assistant"]
        return self._render(turns, add_generation_prompt=True)

    def response_text(self, row: Row, prompt: str | None = None) -> str:
        """The assistant turn after `prompt_text` (computed if not given), with the token that ends it."""
        whole = self._render(row["messages"], add_generation_prompt=False)
        prompt = self.prompt_text(row) if prompt is None else prompt
        if not whole.startswith(prompt):
            raise OneThinkerError(
                "this model's chat template renders the prompt differently when a response follows, so training would "
                "not match generation; give the processor a template that renders it alike"
            )
        return whole[len(prompt) :].rstrip("\n")

    def prompt(self, row: Row, media: Media | None = None) -> EncodedRow:
        """The prompt alone, for generation. Raises RowDropped for unusable media and for a prompt that is too long."""
        return _raise_if_dropped(self.prompts([row], None if media is None else [media])[0])

    def prompts(
        self, rows: Sequence[Row], media: Sequence[Media | RowDropped] | None = None, texts: Sequence[str] | None = None
    ) -> list[EncodedRow | RowDropped]:
        """The prompts of a batch, in one processor call; an unusable row gives its RowDropped.

        `media` and `texts` are the rows' decoded media and `prompt_text`, if the caller has them already.
        """
        decoded = [self._decode(row) for row in rows] if media is None else media
        texts = [self.prompt_text(row) for row in rows] if texts is None else texts
        sound = [(self._bare(text), one) for text, one in zip(texts, decoded, strict=True) if isinstance(one, Media)]
        encoded = iter(self._process(sound))
        return [next(encoded) if isinstance(one, Media) else one for one in decoded]

    def whole(self, row: Row) -> EncodedRow:
        """Prompt and response, with the response's tokens as labels. Raises RowDropped for an unusable row."""
        return _raise_if_dropped(self.wholes([row])[0])

    def wholes(self, rows: Sequence[Row]) -> list[EncodedRow | RowDropped]:
        """`whole` of every row of a batch. Rows are never truncated: one that is too long is dropped."""
        texts = [self.prompt_text(row) for row in rows]
        replies = [self.response_text(row, text) for row, text in zip(rows, texts, strict=True)]
        responses = self.tokenizer(replies, add_special_tokens=False)["input_ids"] if replies else []
        prompts = self.prompts(rows, texts=texts)
        return [
            prompt if isinstance(prompt, RowDropped) else self._append_response(prompt, response)
            for prompt, response in zip(prompts, responses, strict=True)
        ]

    def _append_response(self, prompt: EncodedRow, response: list[int]) -> EncodedRow | RowDropped:
        if not self._kind_of.keys().isdisjoint(response):
            return RowDropped("media_token_in_response")
        length = len(prompt.ids) + len(response)
        if self.max_length is not None and length > self.max_length:
            return RowDropped("too_long", f"{length} tokens, the limit is {self.max_length}")
        nothing = [-100] * len(prompt.ids), [0] * len(response)
        return EncodedRow(prompt.ids + response, nothing[0] + response, prompt.kinds + nothing[1], prompt.pixels)

    def _decode(self, row: Row) -> Media | RowDropped:
        try:
            return self.media(row)
        except RowDropped as why:
            return why

    def _process(self, sound: Sequence[tuple[str, Media]]) -> list[EncodedRow | RowDropped]:
        """Call the processor once for all rows if the result can be split by row, otherwise row by row."""
        if len(sound) > 1 and self._separable and all(self._as_many(text, media) for text, media in sound):
            try:
                return self._call_processor(sound)
            except ValueError:
                pass  # it refuses some row's medium; calling it row by row finds which
        made: list[EncodedRow | RowDropped] = []
        for one in sound:
            try:
                made += self._call_processor([one])
            except ValueError as error:  # an image 200 times as wide as high, say
                made.append(RowDropped("media_refused", str(error)))
        return made

    def _call_processor(self, sound: Sequence[tuple[str, Media]]) -> list[EncodedRow | RowDropped]:
        """One call of the processor. Raises ValueError if it refuses any of the media."""
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
        present = made["attention_mask"].bool()
        ids = [row[mask].tolist() for row, mask in zip(made["input_ids"], present, strict=True)]
        pixels = {name: value for name, value in made.items() if name not in TEXT_KEYS}
        parts = iter([pixels]) if len(sound) == 1 else _split_pixels(pixels, [media for _, media in sound])
        return [self._prompt(row, part) for row, part in zip(ids, parts, strict=True)]

    def _prompt(self, ids: list[int], pixels: dict[str, "torch.Tensor"]) -> EncodedRow | RowDropped:
        if self.max_length is not None and len(ids) > self.max_length:
            return RowDropped("too_long", f"a prompt of {len(ids)} tokens, the limit is {self.max_length}")
        return EncodedRow(ids, [-100] * len(ids), [self._kind_of.get(i, 0) for i in ids], pixels)

    @property
    def _separable(self) -> bool:
        """Whether the pixels of a batch can be split by row, which takes grids."""
        names = set(self.processor.model_input_names) - TEXT_KEYS
        return "image_grid_thw" in names and names <= GRIDS.keys() | set(GRIDS.values())

    def _as_many(self, text: str, media: Media) -> bool:
        """Whether a text has as many placeholders as media: in a batch, an extra one takes the next row's pixels."""
        p = self.processor
        return text.count(p.image_token) == len(media.images) and text.count(p.video_token) == len(media.clips)

    def _render(self, turns: list[Any], *, add_generation_prompt: bool) -> str:
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
        """The text without the template's vision marks round videos: Qwen3-VL's processor adds them to every frame."""
        if type(self.processor).__name__ != "Qwen3VLProcessor":
            return text
        p = self.processor
        return text.replace(f"{p.vision_start_token}{p.video_token}{p.vision_end_token}", p.video_token)

    def _pick(self, total: int, fps: float) -> list[int]:
        """The frames that the model's own video processor samples from a video of this length and rate."""
        from transformers.video_utils import VideoMetadata

        sampler = self.processor.video_processor
        chosen = sampler.sample_frames(VideoMetadata(total_num_frames=total, fps=fps), fps=self.limits.video_fps)
        return [int(i) for i in chosen][: self.limits.video_max_frames]


def _unpickle(state: bytes) -> Encoder:
    declare()
    encoder = Encoder.__new__(Encoder)
    encoder.__dict__ |= pickle.loads(state)
    return encoder


def _raise_if_dropped(made: EncodedRow | RowDropped) -> EncodedRow:
    if isinstance(made, RowDropped):
        raise made
    return made


def _split_pixels(pixels: Mapping[str, "torch.Tensor"], media: Sequence[Media]) -> Iterator[dict[str, "torch.Tensor"]]:
    """Each row's slice of a batch's pixels, by the grids beside them."""
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
    """The files of a row's images, from a decoded or an undecoded column."""
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
    try:
        with open_image(path) as opened:
            return opened.convert("RGB")
    except FileNotFoundError as error:
        raise MediaError("media_missing", path) from error
    except Exception as error:  # Pillow's decoders raise any exception type
        raise MediaError("media_unreadable", f"{path}: {type(error).__name__}: {str(error)[:200]}") from error


def _part(part: Mapping[str, Any]) -> dict[str, Any]:
    """A content part without the null keys that Arrow adds; templates would read a text part with them as an image."""
    return {"type": part["type"], "text": part["text"]} if part["type"] == "text" else {"type": part["type"]}


def _frames_first(clip: Frames) -> "torch.Tensor":
    import torch

    return torch.from_numpy(clip.pixels).permute(0, 3, 1, 2)


def metadata_of(clip: Frames) -> dict[str, Any]:
    """A video processor's metadata for frames that are sampled already."""
    # An index is time × rate, so that index ÷ rate is the frame's own time even if the rate varies.
    return {
        "total_num_frames": clip.total,
        "fps": clip.fps,
        "frames_indices": [time * clip.fps for time in clip.times_s],
    }
