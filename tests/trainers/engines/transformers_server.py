"""An inference server for verl that needs no GPU; apart from `verl_on_cpu`, since Ray imports it before verl."""

from typing import Any

import torch


class Server:
    """Generates with transformers, one request at a time; its weights are those last sent by the trainer."""

    def __init__(self, path: str, tokens: int) -> None:
        from transformers import AutoProcessor, Qwen3VLForConditionalGeneration

        torch.manual_seed(0)
        self.processor, self.tokens = AutoProcessor.from_pretrained(path), tokens
        self.model = Qwen3VLForConditionalGeneration.from_pretrained(path)
        self.step = 0

    def load(self, weights: dict[str, torch.Tensor], step: int) -> None:
        lacking = self.model.load_state_dict(weights, strict=False)
        assert not lacking.unexpected_keys, lacking
        self.step = step

    @torch.no_grad()
    def generate(self, prompt_ids: list[int], sampling_params: dict[str, Any], **more: Any) -> Any:
        """What verl's other servers answer: the tokens of one response, and their log-probabilities."""
        from verl.workers.rollout.replica import TokenOutput

        ids = torch.tensor([prompt_ids])
        config = self.model.config
        said = self.model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            mm_token_type_ids=(ids == config.image_token_id).int() + 2 * (ids == config.video_token_id).int(),
            **self.media(more.get("image_data"), more.get("video_data")),
            do_sample=sampling_params["temperature"] > 0,
            max_new_tokens=self.tokens,
            output_logits=True,
            return_dict_in_generate=True,
        )
        answer = said.sequences[0, len(prompt_ids) :]
        logps = [torch.log_softmax(row[0], -1)[token].item() for row, token in zip(said.logits, answer, strict=True)]
        extra = {"global_steps": self.step}
        return TokenOutput(token_ids=answer.tolist(), log_probs=logps, stop_reason="completed", extra_fields=extra)

    def media(self, images: Any, videos: Any) -> dict[str, Any]:
        """Pixels of a prompt's images and videos (each with its metadata), which verl has resized and sampled."""
        found: dict[str, Any] = {}
        if images:
            found |= self.processor.image_processor(images=images, return_tensors="pt")
        if videos:
            frames, metadata = zip(*videos, strict=True)
            settings = {"video_metadata": list(metadata), "do_sample_frames": False, "return_tensors": "pt"}
            found |= self.processor.video_processor(videos=list(frames), **settings)
        return found

    def wake_up(self) -> None:
        """Nothing sleeps on a CPU."""

    def sleep(self) -> None:
        """Nothing sleeps on a CPU."""
