"""OneThinker's own release layout: RL questions, SFT messages and evaluation files, for its trainer and ours.

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

from corpus.exports._media import JsonFiles, iter_rows, pick_present
from corpus.snapshots import Snapshot

COLUMNS = ("sample_id", "problem", "problem_type", "data_type", "options", "answer", "truth", "source", "prompt",
           "response")  # fmt: skip


def export(snapshot: Snapshot, out: Path) -> dict[str, int]:
    """Write the layout into `out`; returns the number of rows in each JSON file."""
    seen: set[str] = set()
    with JsonFiles(out) as files:
        for kind, row in iter_rows(snapshot, out, COLUMNS):
            if row["sample_id"] not in seen:
                seen.add(row["sample_id"])
                tokens = sum(row["problem"].count(token) for token in ("<image>", "<video>"))
                write = _training_fields if tokens == len(row["media"]) else _evaluation_fields
                name = f"{snapshot.name}_{'rl_train' if write is _training_fields else 'eval'}.json"
                files.write(name, {"problem_id": len(seen), **_question_fields(row), **write(row)})
            turns = [{"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": row["response"]}]
            sft = {"messages": turns, **pick_present(row, "images", "videos"), "data_source": row["source"]}
            files.write(f"{snapshot.name}_sft_{kind}.json", sft)
    return dict(files.counts)


def _question_fields(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "problem": row["problem"],
        "problem_reserved_text": row["problem"].replace("<image>", "").replace("<video>", "").strip(),
        "data_type": row["data_type"],
        "problem_type": row["problem_type"],
        "options": row["options"] or [],
        "data_source": row["source"],
        **_mask_fields(orjson.loads(row["truth"]) if row["truth"] else {}),
    }


def _training_fields(row: dict[str, Any]) -> dict[str, Any]:
    return {"answer": _tag_answer(row), **pick_present(row, "images", "videos")}


def _evaluation_fields(row: dict[str, Any]) -> dict[str, Any]:
    named = dict(zip(("path", "additional_path"), row["paths"], strict=False))
    return {"solution": _tag_answer(row), **named}


def _tag_answer(row: dict[str, Any]) -> str:
    truth = orjson.loads(row["truth"]) if row["truth"] else {}
    return f"<answer>{truth.get('as_released', row['answer'] or '')}</answer>"


def _mask_fields(truth: dict[str, Any]) -> dict[str, Any]:
    masks = truth.get("masks")
    if not masks:
        return {}
    fields: dict[str, Any] = {"segmentation_output": {"segmentation_rle": masks.get("rle") or masks["frames"]}}
    if "fps" in masks:
        fields |= {"fps": masks["fps"]}
        fields["segmentation_output"]["frames"] = list(masks["frames"])
    if truth.get("resolution"):
        fields["resolution"] = truth["resolution"]
    return fields
