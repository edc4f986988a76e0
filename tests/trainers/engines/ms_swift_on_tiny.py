"""Loaded into ms-swift beside our plug-in: its Qwen template asks the tokenizer for the ids of Qwen's media tokens.

It has those of Qwen's own vocabulary written down, and a tiny model's vocabulary ends long before them.
"""

from swift.template.templates.qwen import Qwen2VLTemplate

Qwen2VLTemplate.image_token_id = property(lambda self: self.tokenizer.convert_tokens_to_ids("<|image_pad|>"))
Qwen2VLTemplate.video_token_id = property(lambda self: self.tokenizer.convert_tokens_to_ids("<|video_pad|>"))
