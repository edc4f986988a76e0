"""The accuracy at which an answer counts as right."""

PASS_ACCURACY = 0.6
"""The default of `escalate`, the mode `retry`, live verification and `spend`. A recipe writes its own number.

Video-R1, by OneThinker's first author, keeps what is above 0.6 for every type.
"""
