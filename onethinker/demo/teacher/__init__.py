"""The local teacher: an LLM API for machines without a key, which measures the pixels it is sent to answer.

    with serve(seed=0, error_rate=0.15) as server:
        client = openai.OpenAI(base_url=server.openai_base_url, api_key="local")

`api/` parses requests, `content.py` decodes their media, `vision/` measures them, `questions/` answers known
questions, `fallback.py` guesses at any other, `error_injection.py` makes a seeded share of the answers wrong.
"""

from onethinker.demo.teacher.server import TeacherServer, serve

__all__ = ["TeacherServer", "serve"]
