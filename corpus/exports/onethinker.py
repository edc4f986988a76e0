"""OneThinker's own release layout: RL questions, SFT messages and evaluation files, as its trainer and ours read them.

NAME_rl_train.json             questions whose text holds a token for each medium
NAME_eval.json                 questions without tokens, as the evaluation files have them
NAME_sft_image.json, …_video   the traces, asked with the training prompt

Ingested with the reader `onethinker`, the first two give the same samples, and the third the traces on them. Of a
sample's truth the layout carries masks, their resolution and rate, and the answer as it was released; of several
traces to a sample all.
"""

from pathlib import Path
from typing import Any

import orjson

from corpus.exports._media import JsonFiles, held, rows
from corpus.snapshots import Snapshot

COLUMNS = ("sample_id", "problem", "problem_type", "data_type", "options", "answer", "truth", "source", "prompt",
           "response")  # fmt: skip


def export(snapshot: Snapshot, out: Path) -> dict[str, int]:
    """Write the layout into `out`; returns the number of rows in each JSON file."""
    seen: set[str] = set()
    with JsonFiles(out) as files:
        for kind, row in rows(snapshot, out, COLUMNS):
            if row["sample_id"] not in seen:
                seen.add(row["sample_id"])
                tokens = sum(row["problem"].count(token) for token in ("<image>", "<video>"))
                write = _training if tokens == len(row["media"]) else _evaluation
                name = f"{snapshot.name}_{'rl_train' if write is _training else 'eval'}.json"
                files.write(name, {"problem_id": len(seen), **_question(row), **write(row)})
            turns = [{"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": row["response"]}]
            told = {"messages": turns, **held(row, "images", "videos"), "data_source": row["source"]}
            files.write(f"{snapshot.name}_sft_{kind}.json", told)
    return dict(files.counts)


def _question(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "problem": row["problem"],
        "problem_reserved_text": row["problem"].replace("<image>", "").replace("<video>", "").strip(),
        "data_type": row["data_type"],
        "problem_type": row["problem_type"],
        "options": row["options"] or [],
        "data_source": row["source"],
        **_masks(orjson.loads(row["truth"]) if row["truth"] else {}),
    }


def _training(row: dict[str, Any]) -> dict[str, Any]:
    return {"answer": _tagged(row), **held(row, "images", "videos")}


def _evaluation(row: dict[str, Any]) -> dict[str, Any]:
    named = dict(zip(("path", "additional_path"), row["paths"], strict=False))
    return {"solution": _tagged(row), **named}


def _tagged(row: dict[str, Any]) -> str:
    truth = orjson.loads(row["truth"]) if row["truth"] else {}
    return f"<answer>{truth.get('as_released', row['answer'] or '')}</answer>"


def _masks(truth: dict[str, Any]) -> dict[str, Any]:
    masks = truth.get("masks")
    if not masks:
        return {}
    told: dict[str, Any] = {"segmentation_output": {"segmentation_rle": masks.get("rle") or masks["frames"]}}
    if "fps" in masks:
        told |= {"fps": masks["fps"]}
        told["segmentation_output"]["frames"] = list(masks["frames"])
    if truth.get("resolution"):
        told["resolution"] = truth["resolution"]
    return told
