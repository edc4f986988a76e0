"""From the bytes of a request to its response, without a server: parsing, decoding, answering, token counts."""

import hashlib
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import orjson

from onethinker.demo.teacher import served_models, tokens
from onethinker.demo.teacher.api import anthropic_messages
from onethinker.demo.teacher.api.common import ApiError, ApiRequest, ApiResponse
from onethinker.demo.teacher.content import MediaDecodeError, RequestContent, decode_content
from onethinker.demo.teacher.response import respond

_EACH_PART = 3  # tokens around each part of a message


@dataclass(frozen=True)
class PixelModel:
    """Answers requests; the same seed, rate and request give the same answer in any process."""

    seed: int = 0
    error_rate: float = 0.15

    def answer(self, api: ModuleType, raw: bytes, key: str | None) -> tuple[ApiRequest, ApiResponse]:
        """Parse a request of an API and answer it. Raises ApiError for what the API would refuse.

        Random choices depend on the seed, the model and the Idempotency-Key, or on the request's bytes if it has
        none. Keys that an SDK generates for its own retries change with each call and are ignored.
        """
        asked = api.parse_request(_json(raw))
        model = served_models.find(asked.model)
        if model is None:
            raise _no_model(api.API, asked.model)
        prompt = _decode(asked)
        own_key = key if key and not key.startswith("stainless-") else None
        identity = own_key.encode() if own_key else hashlib.sha256(raw).digest()
        draw = b"\0".join([str(self.seed).encode(), model.id.encode(), identity])
        replies = [
            respond(
                prompt,
                draw=draw + str(number).encode(),
                error_rate=model.error_rate(self.error_rate),
                max_tokens=asked.max_tokens,
            )
            for number in range(asked.choices)
        ]
        return asked, ApiResponse(
            replies=replies,
            input_tokens=_input_tokens(asked, prompt),
            output_tokens=[tokens.count_text(reply.text) for reply in replies],
            cached_tokens=asked.cached_tokens,
            id=hashlib.sha256(draw).hexdigest()[:24],
        )

    def count(self, raw: bytes) -> int:
        """The input tokens of a request in Anthropic's format."""
        asked = anthropic_messages.parse_count_request(_json(raw))
        if served_models.find(asked.model) is None:
            raise _no_model(anthropic_messages.API, asked.model)
        return _input_tokens(asked, _decode(asked))


def _json(raw: bytes) -> dict[str, Any]:
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        message = f"We could not parse the JSON body of your request: {error}"
        raise ApiError(400, "invalid_request_error", message) from error
    if not isinstance(body, dict):
        raise ApiError(400, "invalid_request_error", "The body of a request must be a JSON object.")
    if not isinstance(body.get("model"), str):
        raise ApiError(400, "invalid_request_error", "model: Field required, a string.", param="model")
    return body


def _decode(asked: ApiRequest) -> RequestContent:
    try:
        return decode_content(asked.parts)
    except MediaDecodeError as error:
        raise ApiError(
            400, "invalid_request_error", f"You sent an unsupported image or video: {error}.", code="invalid_image"
        ) from error


def _no_model(api: str, name: str) -> ApiError:
    if api == "anthropic":
        return ApiError(404, "not_found_error", f"model: {name}. {served_models.unknown(name)}")
    return ApiError(404, "invalid_request_error", served_models.unknown(name), param="model", code="model_not_found")


def _input_tokens(asked: ApiRequest, prompt: RequestContent) -> int:
    pictures = [*prompt.images, *(frame.pixels for frame in prompt.frames)]
    return sum(tokens.count_text(part.text) + _EACH_PART for part in asked.parts) + sum(
        tokens.count_image(pixels.shape[1], pixels.shape[0]) for pixels in pictures
    )
