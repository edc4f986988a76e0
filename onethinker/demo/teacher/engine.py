"""From the bytes of a request to an answer: everything between the wire and the eyes, with no server round it."""

import hashlib
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import orjson

from onethinker.demo.teacher import models, tokens
from onethinker.demo.teacher.prompt import MediumError, Prompt, prompt_of
from onethinker.demo.teacher.reply import reply_to
from onethinker.demo.teacher.wire import anthropic_messages
from onethinker.demo.teacher.wire.shapes import Answered, Asked, WireError

_EACH_PART = 3  # tokens that wrap a part of a message


@dataclass(frozen=True)
class Engine:
    """Answers requests. The same seed, rate and request give the same answer, in any process."""

    seed: int = 0
    error_rate: float = 0.15

    def answer(self, wire: ModuleType, raw: bytes, key: str | None) -> tuple[Asked, Answered]:
        """Read a request in a wire format and answer it; raises WireError for what the API would refuse.

        What is left to chance hangs on the seed, the model and the Idempotency-Key, or the request's bytes if it has
        none. Keys that an SDK makes up for its own retries change from call to call and do not count.
        """
        asked = wire.read(_json(raw))
        model = models.find(asked.model)
        if model is None:
            raise _no_model(wire.API, asked.model)
        prompt = _looked_at(asked)
        own_key = key if key and not key.startswith("stainless-") else None
        what = own_key.encode() if own_key else hashlib.sha256(raw).digest()
        draw = b"\0".join([str(self.seed).encode(), model.id.encode(), what])
        replies = [
            reply_to(
                prompt,
                draw=draw + str(number).encode(),
                error_rate=model.error_rate(self.error_rate),
                max_tokens=asked.max_tokens,
            )
            for number in range(asked.choices)
        ]
        return asked, Answered(
            replies=replies,
            input_tokens=_input_tokens(asked, prompt),
            output_tokens=[tokens.of_text(reply.text) for reply in replies],
            cached_tokens=asked.cached_tokens,
            id=hashlib.sha256(draw).hexdigest()[:24],
        )

    def count(self, raw: bytes) -> int:
        """The input tokens of a request in Anthropic's format."""
        asked = anthropic_messages.read_without_limit(_json(raw))
        if models.find(asked.model) is None:
            raise _no_model(anthropic_messages.API, asked.model)
        return _input_tokens(asked, _looked_at(asked))


def _json(raw: bytes) -> dict[str, Any]:
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        message = f"We could not parse the JSON body of your request: {error}"
        raise WireError(400, "invalid_request_error", message) from error
    if not isinstance(body, dict):
        raise WireError(400, "invalid_request_error", "The body of a request must be a JSON object.")
    if not isinstance(body.get("model"), str):
        raise WireError(400, "invalid_request_error", "model: Field required, a string.", param="model")
    return body


def _looked_at(asked: Asked) -> Prompt:
    try:
        return prompt_of(asked.parts)
    except MediumError as error:
        raise WireError(
            400, "invalid_request_error", f"You sent an unsupported image or video: {error}.", code="invalid_image"
        ) from error


def _no_model(api: str, name: str) -> WireError:
    if api == "anthropic":
        return WireError(404, "not_found_error", f"model: {name}. {models.unknown(name)}")
    return WireError(404, "invalid_request_error", models.unknown(name), param="model", code="model_not_found")


def _input_tokens(asked: Asked, prompt: Prompt) -> int:
    pictures = [*prompt.stills, *(frame.pixels for frame in prompt.frames)]
    return sum(tokens.of_text(part.text) + _EACH_PART for part in asked.parts) + sum(
        tokens.of_picture(pixels.shape[1], pixels.shape[0]) for pixels in pictures
    )
