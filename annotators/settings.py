"""What an annotation run is asked to do: one frozen dataclass for Python and the command line, checked when built."""

from dataclasses import dataclass, fields
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from corpus.discovery import names
from corpus.errors import UsageError, near
from corpus.ranges import ABOVE_0, AT_LEAST_0, AT_LEAST_1, MOST, SHARE_ABOVE_0, Range

_RANGES = {
    **dict.fromkeys(("n", "max_tokens", "concurrency", "tries", "image_pixels", "frame_pixels"), AT_LEAST_1),
    **dict.fromkeys(("rpm", "tpm", "max_frames", "limit", "thinking_tokens"), AT_LEAST_1),
    **dict.fromkeys(("timeout_s", "prepare_timeout_s", "poll_s", "fps", "budget_usd"), ABOVE_0),
    "decoders": Range(1, 1024),
    "odd_retries": AT_LEAST_0,
    "temperature": Range(0, 2),
    "top_p": SHARE_ABOVE_0,
    "seed": Range(-MOST, MOST),
}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Which teacher answers which samples, how often, how fast and for how much money.

    Attributes:
        teacher: Who answers, as provider:model. `onethinker teachers` lists the providers.
        where: The slice: an SQL condition over samples; subqueries may use every table and view.
        n: Traces wanted of each sample.
        mode: The way of asking; `blind` shows the teacher the question and the media only.
        prompt: A file with a prompt template of your own, {question} where the question goes; else the task's prompt.
        system: A file with a system prompt.
        limit: At most so many samples of the slice.
        temperature: Sampling temperature, from 0 to 2; left to the provider unless given.
        top_p: Nucleus sampling, above 0 and at most 1; left to the provider unless given.
        max_tokens: The longest response, in tokens; reasoning tokens count.
        effort: Reasoning effort, for models that take one (low, medium, high).
        thinking_tokens: Extended thinking of at most so many tokens, for models that take a number.
        seed: Added to the attempt number as the request's seed, where the API takes one.
        concurrency: Requests in flight at most; lowered by itself while the provider is overloaded.
        rpm: Requests a minute at most.
        tpm: Tokens a minute at most, input and longest output together.
        budget_usd: Stop before this much is spent, requests in flight counted.
        prices: A TOML file of prices that overrides the built-in one.
        tries: How often one request is sent when it fails by a fault that may pass.
        odd_retries: How often a response that is flagged (no tags, cut off, …) is asked for again, as a new attempt.
        timeout_s: Seconds until a request counts as hanging.
        image_pixels: Images with more pixels are scaled down to this.
        frame_pixels: Video frames with more pixels are scaled down to this.
        fps: Video frames a second; else as the task asks.
        max_frames: Video frames at most, evenly spread; else as the task asks.
        native_video: Send videos whole, where the API takes them.
        prepare_timeout_s: Seconds until the decoding of one sample's media is given up.
        decoders: Processes that decode and scale media.
        address: A name that stands for the base URL in the identity of traces; give it when a served model moves.
        batch: Use the provider's batch API: half the price, hours of patience.
        poll_s: Seconds between two looks at a batch.
        dry_run: Say what the run would ask for and cost, and ask nothing.
    """

    teacher: str
    where: str = "true"
    n: int = 1
    mode: str = "blind"
    prompt: Path | None = None
    system: Path | None = None
    limit: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int = 4096
    effort: str | None = None
    thinking_tokens: int | None = None
    seed: int = 0
    concurrency: int = 64
    rpm: int | None = None
    tpm: int | None = None
    budget_usd: Decimal | None = None
    prices: Path | None = None
    tries: int = 8
    odd_retries: int = 1
    timeout_s: float = 600.0
    image_pixels: int = 1_048_576
    frame_pixels: int = 262_144
    fps: float | None = None
    max_frames: int | None = None
    native_video: bool = False
    prepare_timeout_s: float = 60.0
    decoders: int = 2
    address: str | None = None
    batch: bool = False
    poll_s: float = 30.0
    dry_run: bool = False

    def __post_init__(self) -> None:
        provider, colon, model = self.teacher.partition(":")
        known = names("annotators.providers")
        if provider not in known:
            raise UsageError(f"unknown provider '{provider}'{near(provider, known)}")
        if not colon or not model:
            raise UsageError(f"teacher '{self.teacher}' names no model; a teacher is provider:model, say openai:gpt-5")
        modes = names("annotators.modes")
        if self.mode not in modes:
            raise UsageError(f"unknown mode '{self.mode}'{near(self.mode, modes)}")
        if self.budget_usd is not None:
            object.__setattr__(self, "budget_usd", _usd(self.budget_usd))
        for name, valid in _RANGES.items():
            if problem := valid.problem(getattr(self, name)):
                raise UsageError(f"--{flag(name)} {problem}")
        for name in ("prompt", "system", "prices"):
            path = getattr(self, name)
            if path is not None:
                if not Path(path).is_file():
                    raise UsageError(f"--{flag(name)}: there is no file {path}")
                object.__setattr__(self, name, Path(path))
        if self.prompt and "{question}" not in self.prompt.read_text(encoding="utf-8"):
            raise UsageError(f"--prompt: {self.prompt} does not hold {{question}}, so the teacher would see none")

    @property
    def provider(self) -> str:
        """The part of the teacher before the colon."""
        return self.teacher.partition(":")[0]

    @property
    def model(self) -> str:
        """The part of the teacher after the first colon."""
        return self.teacher.partition(":")[2]

    def config(self) -> dict[str, Any]:
        """What the run's row keeps: every setting that is not at its default."""
        return {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != f.default}


def flag(name: str) -> str:
    """A field's name as the command line has it, without its unit: `timeout_s` is `timeout`, after two dashes."""
    return name.removesuffix("_s").removesuffix("_usd").replace("_", "-")


def _usd(value: Any) -> Decimal:
    try:
        return Decimal(str(value))
    except InvalidOperation:
        raise UsageError(f"--budget must be an amount of USD, not '{value}'") from None
