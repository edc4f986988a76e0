"""The steps that recipes are made of, one file each: `Options`, and `drops(candidates, options)`.

`drops` gives the traces to take out, as a relation or an Arrow table of (trace_id, reason). Reasons are short words
that stay the same for ever: people count by them.
"""
