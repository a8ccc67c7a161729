"""Ollama's Modelfile. Pure. https://docs.ollama.com/modelfile

From version 0.34.1 on Ollama refuses ADAPTER, so there a model has to hold its adapter:
https://github.com/ollama/ollama/pull/14969
"""

from __future__ import annotations

_TEMPLATE = """<start_of_turn>user
{{ if .System }}{{ .System }}

{{ end }}{{ .Prompt }}<end_of_turn>
<start_of_turn>model
{{ .Response }}<end_of_turn>
"""
_QUOTES = '"""'


def modelfile(model: str, licence: str, *, adapter: str | None = None, context: int = 4096) -> str:
    """Return the Modelfile of a GGUF file beside it, with another one's LoRA if there is one."""
    lines = [f"FROM ./{model}"]
    if adapter is not None:
        lines = [
            "# For Ollama before 0.34.1; later ones refuse ADAPTER. llama.cpp: -m MODEL --lora ADAPTER",
            *lines,
            f"ADAPTER ./{adapter}",
        ]
    lines += [
        f"TEMPLATE {_quoted(_TEMPLATE)}",
        "PARAMETER temperature 0",
        "PARAMETER repeat_penalty 1.0",
        f"PARAMETER num_ctx {context}",
        'PARAMETER stop "<end_of_turn>"',
        f"LICENSE {_quoted(licence)}",
    ]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """Three quotes end a text, and nothing takes that meaning from them."""
    return f"{_QUOTES}{text.replace(_QUOTES, '')}{_QUOTES}"
