"""`tenken adapters`: the adapters of a project, from the first import to the last roll back."""

from __future__ import annotations

import argparse
import getpass
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from engine.adapters import load_adapter
from engine.cli.command import Command, Parser, Surroundings, add_action
from engine.cli.listing import print_json, print_table, shown
from engine.errors import AdapterConflict
from engine.exits import ExitCode
from engine.lifecycle import DEFAULT_PROJECT, AdapterState, RegisteredAdapter, score_rows
from engine.opening import base_sha256_of
from engine.projects import project_of
from engine.settings import EngineSettings, load_settings
from engine.store.opening import Store, open_store


@dataclass(frozen=True, slots=True)
class _Context:
    """What an action works on."""

    store: Store
    settings: EngineSettings
    project: str


_Action = Callable[[argparse.Namespace, _Context], None]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `tenken adapters` understands."""
    actions = parser.add_subparsers(metavar="ACTION", required=True, parser_class=Parser)
    add_action(actions, "init", _init, "make the database and say where it is")
    listing = add_action(actions, "list", _list, "list adapters")
    listing.add_argument("--all", action="store_true", help="of every project")
    listing.add_argument(
        "--state", choices=[state.value for state in AdapterState], help="in this state only"
    )
    _add_version(add_action(actions, "show", _show, "show one adapter with its manifest"))
    importing = add_action(actions, "import", _import, "take in an adapter directory as a candidate")
    importing.add_argument("directory", type=Path, metavar="DIR")
    importing.add_argument(
        "--any-base", action="store_true", help="also one that is not for this machine's base model"
    )
    exporting = _add_version(add_action(actions, "export", _export, "copy an adapter to a new directory"))
    exporting.add_argument("target", type=Path, metavar="DIR")
    _add_version(add_action(actions, "promote", _promote, "make an adapter champion"))
    rollback = add_action(actions, "rollback", _roll_back, "return to the champion before")
    rollback.add_argument("version", nargs="?", metavar="VERSION", help="or to this one")
    _add_version(add_action(actions, "reject", _reject, "have an adapter never serve"))
    add_action(actions, "history", _history, "list the changes of champion")
    comparing = add_action(actions, "compare", _compare, "show scores side by side")
    comparing.add_argument("versions", nargs="+", metavar="VERSION")
    _add_version(add_action(actions, "delete", _delete, "forget an adapter"))
    _add_merge(actions)


def run(arguments: argparse.Namespace, around: Surroundings) -> ExitCode:
    """Do what the arguments say."""
    settings = load_settings()
    project = arguments.project or project_of(around.folder) or DEFAULT_PROJECT
    with open_store(settings) as store:
        arguments.act(arguments, _Context(store, settings, project))
    return ExitCode.OK


COMMAND = Command("adapters", "Keep adapters: import, compare, promote, roll back.", add_arguments, run)


def _add_version(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("version", metavar="VERSION")
    return parser


def _add_merge(actions: argparse._SubParsersAction[Parser]) -> None:
    parser = add_action(actions, "merge", _merge, "merge adapters into a new candidate, without calibration")
    parser.add_argument("versions", nargs="+", metavar="VERSION")
    parser.add_argument("--name", required=True, help="of the new adapter")
    parser.add_argument("--method", choices=["cat", "linear", "ties", "dare_linear"], default="cat")
    parser.add_argument("--weights", nargs="+", type=float, metavar="W", help="one for each; 1 if not given")
    parser.add_argument("--density", type=float, default=0.5, help="part that ties and dare_linear keep")
    parser.add_argument("--seed", type=int, default=0, help="of dare_linear")
    parser.add_argument("--output", type=Path, metavar="DIR", required=True, help="the new directory")


def _init(arguments: argparse.Namespace, context: _Context) -> None:
    registry = context.store.registry
    if arguments.json:
        print_json({"database": context.store.place, "adapters": str(registry.files.root)})
    else:
        print(f"database  {context.store.place}\nadapters  {registry.files.root}")


def _list(arguments: argparse.Namespace, context: _Context) -> None:
    state = AdapterState(arguments.state) if arguments.state else None
    adapters = context.store.registry.list_adapters(None if arguments.all else context.project, state)
    if arguments.json:
        print_json(adapters)
    elif adapters:
        headings = ("project", "version", "state", "base", "trained", "added")
        print_table(
            headings, [(a.project, a.version, a.state, a.base_model, a.created, a.added) for a in adapters]
        )
    else:
        print("no adapters" if arguments.all else f"no adapters in project {context.project}")


def _show(arguments: argparse.Namespace, context: _Context) -> None:
    registry = context.store.registry
    adapter = registry.show(context.project, arguments.version)
    manifest = load_adapter(registry.directory(adapter)).manifest
    if arguments.json:
        print_json({"adapter": adapter, "manifest": manifest})
        return
    rows: list[tuple[str, object]] = [
        ("version", adapter.version),
        ("project", adapter.project),
        ("state", adapter.state),
        ("directory", registry.directory(adapter)),
        ("base", f"{adapter.base_model}, sha256 {adapter.base_sha256}"),
        ("rank", manifest.rank),
        ("tasks", ", ".join(manifest.tasks)),
        ("languages", ", ".join(manifest.languages)),
        ("threshold", manifest.calibration.threshold),
        ("licence", manifest.licence),
        ("trained", adapter.created),
        ("added", adapter.added),
        *((f"score {name}", value) for name, value in sorted(adapter.scores.items())),
    ]
    width = max(len(name) for name, _ in rows)
    print("\n".join(f"{name:<{width}}  {shown(value)}" for name, value in rows))


def _import(arguments: argparse.Namespace, context: _Context) -> None:
    base = None if arguments.any_base else base_sha256_of(context.settings)
    _tell(
        arguments,
        context.store.registry.import_adapter(arguments.directory, context.project, base_sha256=base),
    )


def _export(arguments: argparse.Namespace, context: _Context) -> None:
    registry = context.store.registry
    key = context.settings.signing_key
    target = registry.export_adapter(context.project, arguments.version, arguments.target, signing_key=key)
    if arguments.json:
        print_json({"directory": str(target), "signed": key is not None})
    else:
        print(f"{target}, signed in {target.name}.sig" if key else f"{target}, not signed")


def _promote(arguments: argparse.Namespace, context: _Context) -> None:
    _tell(arguments, context.store.registry.promote(context.project, arguments.version, _user()))


def _roll_back(arguments: argparse.Namespace, context: _Context) -> None:
    _tell(arguments, context.store.registry.roll_back(context.project, arguments.version, _user()))


def _reject(arguments: argparse.Namespace, context: _Context) -> None:
    _tell(arguments, context.store.registry.reject(context.project, arguments.version))


def _history(arguments: argparse.Namespace, context: _Context) -> None:
    history = context.store.registry.history(context.project)
    if arguments.json:
        print_json(history)
    elif history:
        rows = [(entry.at, entry.action, entry.version, entry.actor) for entry in history]
        print_table(("when", "what", "version", "who"), rows)
    else:
        print(f"project {context.project} never had a champion")


def _compare(arguments: argparse.Namespace, context: _Context) -> None:
    adapters = context.store.registry.compare(context.project, arguments.versions)
    if arguments.json:
        print_json(adapters)
        return
    headings = ("score", *(f"{adapter.version} ({adapter.state})" for adapter in adapters))
    print_table(headings, [(name, *values) for name, values in score_rows(adapters)])


def _delete(arguments: argparse.Namespace, context: _Context) -> None:
    context.store.registry.delete(context.project, arguments.version)
    if arguments.json:
        print_json({"deleted": arguments.version})
    else:
        print(f"{arguments.version} is deleted from {context.project}")


def _merge(arguments: argparse.Namespace, context: _Context) -> None:
    from engine.finetune.merging import MergeMethod, merge_adapters

    registry = context.store.registry
    sources = [registry.show(context.project, version) for version in arguments.versions]
    if arguments.output.exists():
        raise AdapterConflict(f"{arguments.output} exists already")
    merged = merge_adapters(
        [registry.directory(source) for source in sources],
        arguments.output,
        arguments.name,
        MergeMethod(arguments.method),
        weights=arguments.weights or (),
        density=arguments.density,
        seed=arguments.seed,
    )
    adapter = registry.import_adapter(merged.path, context.project)
    _tell(arguments, adapter)
    if not arguments.json:
        print(f"evaluate it before it is promoted: {merged.path}")


def _tell(arguments: argparse.Namespace, adapter: RegisteredAdapter) -> None:
    if arguments.json:
        print_json(adapter)
    else:
        print(f"{adapter.version} is {adapter.state} of {adapter.project}")


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        return ""
