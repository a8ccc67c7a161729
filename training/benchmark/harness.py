"""The documented functions as a task of lm-evaluation-harness, which writes them without our grammar."""

from __future__ import annotations

import json

from engine.prompts import END_OF_TURN
from training.formats.conversations import Conversation
from training.formats.rows import text_rows

TASK = "tenken_functions"
_TOKENS = 700


def harness_task(functions: str) -> str:
    """Return the task's file, in the part of YAML that is JSON; `functions` is where its JSONL lies."""
    (row,) = text_rows(Conversation.of_pairs((("{{asked}}", "{{code}}"),)))
    task = {
        "task": TASK,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": functions}},
        "test_split": "test",
        "output_type": "generate_until",
        "doc_to_text": row.prompt,
        "doc_to_target": row.completion,
        "generation_kwargs": {"until": [END_OF_TURN], "max_gen_toks": _TOKENS, "do_sample": False},
        "metric_list": [{"metric": "chrf", "aggregation": "chrf", "higher_is_better": True}],
        "metadata": {"version": 1},
    }
    return json.dumps(task, indent=1) + "\n"
