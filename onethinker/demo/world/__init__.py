"""The demo's world: pictures and short videos drawn by our code from a seed, with questions whose answers are exact.

    write_world("demo/world", seed=0, per_family=6)

writes them in the released OneThinker layout. One file of `questions/` for each task family; `stills.py` and
`clips.py` hold the scenes.
"""

from onethinker.demo.world.writer import write_world

__all__ = ["write_world"]
