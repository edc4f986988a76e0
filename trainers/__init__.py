"""SFT and reinforcement learning on a snapshot, and plug-ins for other trainers."""
