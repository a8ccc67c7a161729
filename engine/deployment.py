"""Whether a service would work here and keep what it is given, and what to do where not. Reads only.

`engine.doctor` looks at what is installed; this at the account, the settings, the disk and the database that
a service is run with: `tenken doctor --deploy`, run as the service's user in its container or unit.
"""

from __future__ import annotations

import difflib
import importlib
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from engine.cache import default_cache
from engine.doctor import Check, Health
from engine.doctor_texts import ENGLISH, DoctorTexts
from engine.errors import TenkenError
from engine.settings import ENV_FILE, EngineSettings, RunnerKind
from engine.store.opening import DATABASE, data_directory, store_exists
from engine.tokens import TokenFile

_LEAST_FREE = 2**30
_LEAST_MEMORY = 2 * 2**30
_VANISHING = ("tmpfs", "ramfs", "overlay")
_NATIVE = {RunnerKind.LLAMA: "xllamacpp", RunnerKind.TORCH: "torch", RunnerKind.OPENAI: "tokenizers"}


def examine_deployment(
    settings: EngineSettings,
    tokens: Path | None,
    environ: Mapping[str, str] = os.environ,
    texts: DoctorTexts = ENGLISH,
) -> list[Check]:
    """Return all checks of a service's surroundings, in the order to read them."""
    data, cache = data_directory(settings, environ), settings.cache_dir or default_cache(environ)
    make_token = texts.tokens_advice.format(file="FILE")
    return [
        account(os.geteuid(), texts),
        unknown_variables("ENGINE_", EngineSettings.model_fields, environ, texts),
        readable_by_others("secrets", _secrets(settings, tokens, environ), texts),
        _tried("tokens", make_token, lambda: _tokens(tokens, texts)),
        keeps("data", data, "ENGINE_DATA_DIR", texts),
        writable("cache", cache, "ENGINE_CACHE_DIR", texts),
        _tried("database", texts.database_advice, lambda: _database(settings, data, texts)),
        memory(texts=texts),
        read_only_root(texts=texts),
        _tried("library", texts.library_advice, lambda: _library(settings.runner, texts)),
        proxy(environ, texts),
    ]


def account(uid: int, texts: DoctorTexts = ENGLISH) -> Check:
    """Tell whether the service has an account of its own."""
    if uid == 0:
        return Check("account", Health.PROBLEM, texts.root, texts.account_advice)
    return Check("account", Health.OK, texts.account.format(uid=uid))


def unknown_variables(
    prefix: str, fields: Iterable[str], environ: Mapping[str, str], texts: DoctorTexts = ENGLISH
) -> Check:
    """Name variables that look like settings and are none: a misspelt one is ignored without a word."""
    known = {f"{prefix}{name.upper()}" for name in fields} | {f"{prefix}ENV_FILE"}
    given = [name for name in environ if name.upper().startswith(prefix)]
    given += [name for name in _in_file(environ.get(f"{prefix}ENV_FILE")) if name.upper().startswith(prefix)]
    unknown = sorted({name for name in given if name.upper() not in known})
    if not unknown:
        detail = texts.variables_known.format(count=len(set(given)), prefix=prefix)
        return Check("settings", Health.OK, detail)
    detail = texts.variables_unknown.format(names=", ".join(unknown))
    return Check("settings", Health.PROBLEM, detail, _meant(unknown, known, texts))


def _in_file(path: str | None) -> list[str]:
    if not path:
        return []
    from dotenv import dotenv_values

    return list(dotenv_values(path))


def _meant(unknown: Iterable[str], known: Iterable[str], texts: DoctorTexts) -> str:
    close = {name: difflib.get_close_matches(name.upper(), sorted(known), n=1) for name in unknown}
    guesses = [
        texts.variable_meant.format(name=name, guess=found[0]) for name, found in close.items() if found
    ]
    return "; ".join(guesses) or texts.variables_advice


def readable_by_others(name: str, files: Iterable[Path], texts: DoctorTexts = ENGLISH) -> Check:
    """Name files with secrets that any account of this machine can read."""
    there = [path for path in files if path.is_file()]
    open_ = [str(path) for path in there if path.stat().st_mode & 0o007]
    if open_:
        detail = texts.secrets_open.format(files=", ".join(open_))
        return Check(name, Health.PROBLEM, detail, texts.secrets_open_advice)
    return Check(name, Health.OK, texts.secrets_shut.format(count=len(there)))


def _secrets(settings: EngineSettings, tokens: Path | None, environ: Mapping[str, str]) -> list[Path]:
    named = environ.get(ENV_FILE)
    return [path for path in (Path(named) if named else None, tokens, settings.signing_key) if path]


def _tokens(path: Path | None, texts: DoctorTexts) -> Check:
    if path is None:
        return Check("tokens", Health.ABSENT, texts.tokens_unknown, texts.tokens_unknown_advice)
    count = len(TokenFile(path).records)
    if not count:
        advice = texts.tokens_advice.format(file=path)
        return Check("tokens", Health.PROBLEM, texts.tokens_none.format(file=path), advice)
    return Check("tokens", Health.OK, texts.tokens.format(file=path, count=count))


def keeps(name: str, directory: Path, variable: str, texts: DoctorTexts = ENGLISH) -> Check:
    """Tell whether what is put into a directory is there after a restart, and whether there is room."""
    check = writable(name, directory, variable, texts)
    if check.health is not Health.OK:
        return check
    kind, free = filesystem_of(directory), shutil.disk_usage(_existing(directory)).free
    if kind in _VANISHING:
        detail = texts.vanishing.format(directory=check.detail, kind=kind)
        return Check(name, Health.PROBLEM, detail, texts.vanishing_advice.format(variable=variable))
    if free < _LEAST_FREE:
        return Check(name, Health.PROBLEM, check.detail, texts.full_advice)
    return check


def writable(name: str, directory: Path, variable: str, texts: DoctorTexts = ENGLISH) -> Check:
    """Tell whether this process may write into a directory, or make it."""
    existing = _existing(directory)
    free = f"{shutil.disk_usage(existing).free / 2**30:.1f}"
    detail = texts.directory.format(path=directory, gib=free)
    if not os.access(existing, os.W_OK | os.X_OK):
        unwritable = texts.not_writable.format(directory=detail)
        return Check(name, Health.PROBLEM, unwritable, texts.writable_advice.format(variable=variable))
    return Check(name, Health.OK, detail)


def _existing(directory: Path) -> Path:
    return next(path for path in (directory, *directory.absolute().parents) if path.exists())


def filesystem_of(directory: Path, mounts: Path = Path("/proc/self/mountinfo")) -> str:
    """Return the kind of file system that a directory is on, "" where that cannot be found out."""
    try:
        lines = mounts.read_text("utf-8").splitlines()
    except OSError:
        return ""
    path, found = str(_existing(directory).resolve()), ("", "")
    for line in lines:
        before, _, after = line.partition(" - ")
        point = before.split()[4].encode().decode("unicode_escape")
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(found[0]):
            found = point, after.split()[0]
    return found[1]


def _database(settings: EngineSettings, data: Path, texts: DoctorTexts) -> Check:
    if not store_exists(settings):
        return Check("database", Health.ABSENT, texts.database_none.format(file=data / DATABASE))
    from engine.store.database import Database, engine_for, parse_url, sqlite_url
    from engine.store.migrations import HEAD, revision

    given = settings.database_url
    database = Database(
        engine_for(parse_url(given.get_secret_value() if given else sqlite_url(data / DATABASE)))
    )
    try:
        with database.reading() as connection:
            found = revision(connection)
    finally:
        database.close()
    if found == HEAD:
        detail = texts.database.format(place=database.place, revision=found)
        return Check("database", Health.OK, detail)
    revised = found or texts.database_unrevised
    detail = texts.database_old.format(place=database.place, revision=revised, head=HEAD)
    return Check("database", Health.ABSENT, detail)


def memory(root: Path = Path("/"), texts: DoctorTexts = ENGLISH) -> Check:
    """Tell how much memory this process may take."""
    limit = _memory_limit(root)
    if limit is None:
        return Check("memory", Health.OK, texts.memory_unlimited)
    detail = texts.memory.format(gib=f"{limit / 2**30:.1f}")
    if limit < _LEAST_MEMORY:
        return Check("memory", Health.PROBLEM, detail, texts.memory_advice)
    return Check("memory", Health.OK, detail)


def _memory_limit(root: Path) -> int | None:
    """Return the least limit of the control groups around this process."""
    mount, limits = root / "sys/fs/cgroup", []
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        folder = mount / controllers / path.lstrip("/")
        name = "memory.limit_in_bytes" if controllers else "memory.max"
        for place in (folder, *folder.parents):
            if (text := _text(place / name)).isdecimal():
                limits.append(int(text))
            if place == mount:
                break
    sensible = [limit for limit in limits if limit < 2**60]  # the first version says so where there is none
    return min(sensible, default=None)


def _text(path: Path) -> str:
    try:
        return path.read_text("ascii").strip()
    except OSError:
        return ""


def read_only_root(path: Path = Path("/"), texts: DoctorTexts = ENGLISH) -> Check:
    """Tell whether the root file system is read-only, as the images and units here have it."""
    if os.statvfs(path).f_flag & os.ST_RDONLY:
        return Check("root file system", Health.OK, texts.root_read_only)
    return Check("root file system", Health.ABSENT, texts.root_writable, texts.root_writable_advice)


def _library(runner: RunnerKind, texts: DoctorTexts) -> Check:
    """Load what computes: that it is installed does not say that the system has what it needs."""
    name = _NATIVE[runner]
    try:
        importlib.import_module(name)
    except (ImportError, OSError) as error:
        return Check("library", Health.PROBLEM, f"{name}: {error}", texts.library_advice)
    return Check("library", Health.OK, texts.library.format(name=name))


def proxy(environ: Mapping[str, str], texts: DoctorTexts = ENGLISH) -> Check:
    """Tell which proxies the environment names: requests may leave by them."""
    names = [name for name in ("https_proxy", "http_proxy", "all_proxy") if _given(name, environ)]
    if names:
        return Check("proxy", Health.ABSENT, ", ".join(names), texts.proxy_advice)
    return Check("proxy", Health.OK, texts.proxy_none)


def _given(name: str, environ: Mapping[str, str]) -> str:
    return environ.get(name) or environ.get(name.upper()) or ""


def _tried(name: str, advice: str, check: Callable[[], Check]) -> Check:
    try:
        return check()
    except TenkenError as error:
        return Check(name, Health.PROBLEM, str(error), advice)
