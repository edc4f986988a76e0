"""Reinforcement learning on a snapshot: EMA-GRPO and its rivals over images and videos."""
