"""Keeps libraries from calling out: environment variables that every process here sets for itself.

Nothing of this project sends anything anywhere but to the GitLab, engine and database it was given. Some of
the libraries would: look for models or updates, count who uses them. Each program calls `go_offline` before
it imports one of them; processes that it starts inherit what was set.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping
from types import MappingProxyType

SWITCHES: Mapping[str, str] = MappingProxyType(
    {
        "DO_NOT_TRACK": "1",  # asked by several: huggingface_hub, vLLM
        "HF_DATASETS_OFFLINE": "1",  # datasets: no lookups at the hub
        "HF_HUB_DISABLE_TELEMETRY": "1",  # huggingface_hub: no report of what is used
        "HF_HUB_DISABLE_UPDATE_CHECK": "1",  # huggingface_hub: no question for a newer version
        "HF_HUB_OFFLINE": "1",  # huggingface_hub: no request at all
        "OTEL_SDK_DISABLED": "true",  # OpenTelemetry, which DBOS uses where it is there: no spans, no logs
        "TRANSFORMERS_OFFLINE": "1",  # transformers and Unsloth: models from local files alone
        "UNSLOTH_DISABLE_STATISTICS": "1",  # Unsloth: no download that counts GPUs
        "VLLM_NO_USAGE_STATS": "1",  # vLLM, where it is started from here: no report of what is used
    }
)
"""Variable -> value. The images set them too, for whatever else runs there."""

_CLOUD = "DBOS__"
"""DBOS reads addresses to report to from such variables, where its own cloud has set them."""


def go_offline(environ: MutableMapping[str, str] = os.environ) -> None:
    """Switch off what libraries send and look up by themselves, whatever the environment said before."""
    environ.update(SWITCHES)
    for name in [name for name in environ if name.startswith(_CLOUD)]:
        del environ[name]
