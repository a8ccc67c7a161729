"""Which programming language a path holds, by its name alone; the name is the one used in prompts."""

from __future__ import annotations

from pathlib import PurePosixPath

_EXTENSIONS = {
    "python": "py pyi pyw pyx",
    "java": "java",
    "javascript": "js jsx mjs cjs",
    "typescript": "ts tsx mts cts",
    "go": "go",
    "rust": "rs",
    "c": "c h",
    "c++": "cc cpp cxx c++ hh hpp hxx h++ ipp cu cuh",
    "c#": "cs",
    "ruby": "rb rake gemspec",
    "php": "php phtml",
    "kotlin": "kt kts",
    "swift": "swift",
    "scala": "scala sc",
    "groovy": "groovy gradle",
    "dart": "dart",
    "objective-c": "m mm",
    "perl": "pl pm",
    "lua": "lua",
    "r": "r",
    "julia": "jl",
    "elixir": "ex exs",
    "erlang": "erl hrl",
    "haskell": "hs",
    "clojure": "clj cljs cljc",
    "f#": "fs fsx",
    "visual basic": "vb",
    "shell": "sh bash zsh ksh bats",
    "powershell": "ps1 psm1",
    "sql": "sql",
    "vue": "vue",
    "svelte": "svelte",
    "terraform": "tf",
    "zig": "zig",
    "solidity": "sol",
    "cmake": "cmake",
}
_NAMES = {
    "dockerfile": "dockerfile",
    "containerfile": "dockerfile",
    "makefile": "makefile",
    "gnumakefile": "makefile",
    "rakefile": "ruby",
    "gemfile": "ruby",
    "jenkinsfile": "groovy",
    "cmakelists.txt": "cmake",
}
_BY_EXTENSION = {end: language for language, ends in _EXTENSIONS.items() for end in ends.split()}


def language_of(path: str) -> str | None:
    """Return the language in lower case, or None for what is not read (prose, data, style sheets)."""
    name = PurePosixPath(path).name.lower()
    if name in _NAMES:
        return _NAMES[name]
    stem, dot, extension = name.rpartition(".")
    if stem in {"dockerfile", "containerfile"}:
        return "dockerfile"
    return _BY_EXTENSION.get(extension) if dot else None
