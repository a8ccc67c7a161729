"""The training routine: rows of tokens and labels in, a LoRA adapter out.

`rows` reads JSONL and `encoding` makes tokens of it, `backend` loads the model (Unsloth, or transformers and
PEFT), `loss` is the one loss for both, `routine` runs TRL's SFTTrainer and saves; `preference` tunes an
adapter on judged texts by TRL's KTOTrainer. `sizes`, `cards` and `estimates` tell what it takes. Knows
nothing of reviews: what a prompt says and what a label means is decided where the rows are built.
"""
