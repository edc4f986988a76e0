"""Images and videos on their way into vLLM: TRL hands over images alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from corpus.errors import OneThinkerError
from trainers.encoding import Encoded, Media, metadata_of


@dataclass(frozen=True)
class Shown:
    """A prompt as one row was shown it. `bare_ids` has one placeholder for each medium, which vLLM fills up itself."""

    encoded: Encoded
    media: Media
    bare_ids: list[int]
    dropped: str | None = None


class WithMedia:
    """vLLM's LLM, in front of which a row's "image" (see `Shown`) becomes all that the row shows."""

    def __init__(self, llm: Any) -> None:
        self._llm = llm

    def __getattr__(self, name: str) -> Any:
        return getattr(self._llm, name)

    def generate(self, prompts: Sequence[dict[str, Any]], **kwargs: Any) -> Any:
        """Generate; raises OneThinkerError where vLLM made other prompt tokens of a row than training will see."""
        shown: list[Shown | None] = [row.get("multi_modal_data", {}).get("image") for row in prompts]
        given = [row if one is None else vllm_prompt(one) for row, one in zip(prompts, shown, strict=True)]
        outputs = self._llm.generate(given, **kwargs)
        for one, output in zip(shown, outputs, strict=True):
            ids = list(output.prompt_token_ids or ())
            if one is not None and ids != one.encoded.ids:
                raise OneThinkerError(
                    f"vLLM read a prompt as {len(ids)} tokens where training reads {len(one.encoded.ids)}: the two "
                    "do not prepare media alike, so the policy would learn from answers to another prompt"
                )
        return outputs


def vllm_prompt(shown: Shown) -> dict[str, Any]:
    """A row in vLLM's own words: bare ids, the media, and that no frames are to be sampled any more."""
    media: dict[str, Any] = {}
    if shown.media.images:
        media["image"] = list(shown.media.images)
    if shown.media.clips:
        media["video"] = [
            (clip.pixels, metadata_of(clip) | {"do_sample_frames": False, "duration": clip.total / clip.fps})
            for clip in shown.media.clips
        ]
    row: dict[str, Any] = {"prompt_token_ids": shown.bare_ids}
    if media:
        row |= {"multi_modal_data": media, "mm_processor_kwargs": {"do_sample_frames": False}}
    return row
