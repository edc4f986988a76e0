"""The local teacher: an annotator for machines without a key, which answers by looking at the pixels it is sent.

    with serve(seed=0, error_rate=0.15) as server:
        client = openai.OpenAI(base_url=server.openai_base_url, api_key="local")

`wire/` speaks the APIs, `prompt.py` opens what came, `sight/` measures, `questions/` understands what is asked,
`guess.py` answers what is not understood, `mistakes.py` makes a seeded share of it wrong.
"""

from onethinker.demo.teacher.server import TeacherServer, serve

__all__ = ["TeacherServer", "serve"]
