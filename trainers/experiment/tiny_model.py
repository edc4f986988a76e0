"""A Qwen3-VL of a quarter of a million weights, built from scratch for tests, the demo and `reproduce` on a CPU.

It is Qwen3-VL's own code throughout (vision tower, deepstack, interleaved M-RoPE, processor, chat template), only
small: two layers each, 64 wide, and a tokenizer whose vocabulary is learnt from given texts.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from trainers.torchvision_schemas import declare

END_OF_TEXT, TURN, END_OF_TURN = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
VISION = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
SPECIAL = (END_OF_TEXT, TURN, END_OF_TURN, *VISION)
TAGS = ("<think>", "</think>", "<answer>", "</answer>")  # plain tokens, as in Qwen3: decoding keeps them
PATCH = 16


def write_tiny(folder: str | Path, texts: Iterable[str], *, seed: int = 0, vocabulary: int = 768) -> Path:
    """Write a fresh model with its processor into `folder`, as `save_pretrained` would; returns the folder.

    The same texts, seed and versions give the same bytes. `vocabulary` is an upper bound: few texts give fewer merges.
    """
    declare()
    import torch
    from transformers import Qwen3VLForConditionalGeneration, Qwen3VLProcessor

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = _tokenizer(texts, vocabulary)
    processor = Qwen3VLProcessor(
        image_processor=_image_processor(),
        tokenizer=tokenizer,
        video_processor=_video_processor(),
        chat_template=_chat_template(),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Qwen3VLForConditionalGeneration(_config(tokenizer))
    model.generation_config.eos_token_id = tokenizer.convert_tokens_to_ids(END_OF_TURN)
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def _tokenizer(texts: Iterable[str], vocabulary: int) -> Any:
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE())
    # Qwen's own pre-tokenisation rule, which splits digits.
    split = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    split += r"|\s*[\r\n]+|\s+(?!\S)|\s+"
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(split), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - len(SPECIAL) - len(TAGS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(sorted(set(texts)), trainer)
    made.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    made.add_tokens([AddedToken(token, special=False, normalized=False) for token in TAGS])
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        eos_token=END_OF_TURN,
        pad_token=END_OF_TEXT,
        clean_up_tokenization_spaces=False,
        model_max_length=8192,
    )


def _config(tokenizer: Any) -> Any:
    from transformers import Qwen3VLConfig

    ids = dict(zip(VISION, tokenizer.convert_tokens_to_ids(list(VISION)), strict=True))
    return Qwen3VLConfig(
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "head_dim": 64,  # vLLM on a CPU refuses 16
            "max_position_embeddings": 8192,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10_000.0,
                "mrope_section": [12, 10, 10],
                "mrope_interleaved": True,
            },
            "pad_token_id": tokenizer.pad_token_id,
            "tie_word_embeddings": True,
        },
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 2,
            "patch_size": PATCH,
            "out_hidden_size": 64,
            "num_position_embeddings": 64,
            "deepstack_visual_indexes": [0],
        },
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=True,
    )


def _image_processor() -> Any:
    from transformers import Qwen2VLImageProcessor

    grey = [0.5, 0.5, 0.5]
    return Qwen2VLImageProcessor(patch_size=PATCH, merge_size=2, image_mean=grey, image_std=grey)


def _video_processor() -> Any:
    from transformers import Qwen3VLVideoProcessor

    return Qwen3VLVideoProcessor(patch_size=PATCH, merge_size=2)


def _chat_template() -> str:
    import trl

    return (Path(trl.__file__).parent / "chat_templates" / "qwen3_vl.jinja").read_text()
