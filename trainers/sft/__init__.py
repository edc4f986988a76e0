"""Supervised fine-tuning on a snapshot: images and videos in one batch, loss on the assistant's turn alone."""
