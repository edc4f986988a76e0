"""Passes images and videos to vLLM, where TRL passes images alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from corpus.errors import OneThinkerError
from trainers.encoding import EncodedRow, Media, metadata_of


@dataclass(frozen=True)
class EncodedPrompt:
    """A row's prompt, encoded. `bare_ids` has one placeholder per medium, which vLLM expands itself."""

    encoded: EncodedRow
    media: Media
    bare_ids: list[int]
    dropped: str | None = None


class LlmWithMedia:
    """vLLM's LLM, wrapped so that a row's "image", an `EncodedPrompt`, becomes all media of the row."""

    def __init__(self, llm: Any) -> None:
        self._llm = llm

    def __getattr__(self, name: str) -> Any:
        return getattr(self._llm, name)

    def generate(self, prompts: Sequence[dict[str, Any]], **kwargs: Any) -> Any:
        """Generate. Raises OneThinkerError if vLLM's prompt tokens of a row differ from those of training."""
        encoded: list[EncodedPrompt | None] = [row.get("multi_modal_data", {}).get("image") for row in prompts]
        given = [row if one is None else vllm_prompt(one) for row, one in zip(prompts, encoded, strict=True)]
        outputs = self._llm.generate(given, **kwargs)
        for one, output in zip(encoded, outputs, strict=True):
            ids = list(output.prompt_token_ids or ())
            if one is not None and ids != one.encoded.ids:
                raise OneThinkerError(
                    f"vLLM read a prompt as {len(ids)} tokens where training reads {len(one.encoded.ids)}: the two "
                    "do not prepare media alike, so the policy would learn from answers to another prompt"
                )
        return outputs


def vllm_prompt(prompt: EncodedPrompt) -> dict[str, Any]:
    """A row as vLLM's prompt: bare ids, the media, and no further frame sampling."""
    media: dict[str, Any] = {}
    if prompt.media.images:
        media["image"] = list(prompt.media.images)
    if prompt.media.clips:
        media["video"] = [
            (clip.pixels, metadata_of(clip) | {"do_sample_frames": False, "duration": clip.total / clip.fps})
            for clip in prompt.media.clips
        ]
    row: dict[str, Any] = {"prompt_token_ids": prompt.bare_ids}
    if media:
        row |= {"multi_modal_data": media, "mm_processor_kwargs": {"do_sample_frames": False}}
    return row
