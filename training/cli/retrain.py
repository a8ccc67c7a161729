"""`tenken-train retrain`: a project's history in, a promoted adapter out, or the reasons why not."""

from __future__ import annotations

import argparse
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import InputError
from training.cli.gitlab import TOKEN_VARIABLE, find_token
from training.cli.runners import open_chosen
from training.cli.sft import embedded_base

if TYPE_CHECKING:
    from pydantic import SecretStr

    from engine.adapters import Adapter
    from engine.retraining import RunResult
    from engine.runners import Runner
    from training.history.project import About
    from training.history.stages import StageManifest
    from training.pipeline.run import Request, Tools
    from training.pipeline.settings import MeasureSettings, RetrainSettings
    from training.pipeline.shelf import Shelf

ENGINE_TOKEN_VARIABLE = "TENKEN_ENGINE_TOKEN"


def register(subcommands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand and its options."""
    parser = subcommands.add_parser(
        "retrain",
        help="from a project's history to a promoted adapter",
        description="Collects, redacts, curates, labels and splits a project's history, trains on it, "
        "measures "
        "candidate, champion and base, and promotes the candidate if the gate lets it through. Begun again "
        "with "
        "the same --out it goes on where it was. status.json there says how far it is. SIGTERM and Ctrl-C "
        "end it "
        f"cleanly. GitLab's token is in {TOKEN_VARIABLE} or in --token-file; it needs the scope read_api.",
    )
    parser.add_argument("--url", required=True, help="of GitLab, e.g. https://gitlab.example.com")
    parser.add_argument("--project", required=True, metavar="ID|PATH", help="e.g. group/app")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="of this run")
    parser.add_argument(
        "--history", type=Path, metavar="DIR", help="kept from run to run (default: history beside --out)"
    )
    parser.add_argument("--settings", type=Path, metavar="FILE", help="TOML, with a table for each stage")
    parser.add_argument("--token-file", type=Path, metavar="FILE", help="GitLab's token")
    parser.add_argument("--ca-file", type=Path, metavar="FILE", help="certificates to trust for GitLab, PEM")
    parser.add_argument(
        "--engine", metavar="URL", help="where the adapter goes (default: the store of this machine)"
    )
    parser.add_argument(
        "--engine-token-file",
        type=Path,
        metavar="FILE",
        help=f"its token, or {ENGINE_TOKEN_VARIABLE}: a trainer's uploads, an admin's promotes as well",
    )
    parser.add_argument(
        "--engine-ca-file", type=Path, metavar="FILE", help="certificates to trust for it, PEM"
    )
    parser.add_argument(
        "--base-dir",
        type=Path,
        metavar="DIR",
        help="Hugging Face directory (default: the embedded Gemma 3 270M)",
    )
    parser.add_argument("--name", help="of the adapter (default: the last part of the project's path)")
    parser.add_argument("--min-new", type=int, metavar="N", help="instead of retrain.min_new of the settings")
    parser.add_argument(
        "--dry-run", action="store_true", help="end with the plan: what it would be trained on"
    )
    parser.add_argument(
        "--no-promote",
        action="store_true",
        help="upload the candidate and leave it to somebody to promote it",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Retrain and say what came of it; return the exit code: 0, whatever the gate said."""
    from training.pipeline.run import retrain

    with _ending_cleanly(), _work(arguments) as (request, tools):
        result = retrain(request, tools)
    _show(result, arguments.out)
    return 0


@contextmanager
def _ending_cleanly() -> Iterator[None]:
    """Take SIGTERM for Ctrl-C while inside."""

    def interrupt(number: int, frame: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _work(arguments: argparse.Namespace) -> Iterator[tuple[Request, Tools]]:
    from training.pipeline.data import Folders
    from training.pipeline.deciding import adapter_name
    from training.pipeline.learning import settle_here, train_here
    from training.pipeline.run import Request, Tools

    settings = _settings(arguments)
    about, collect, publish = _project(arguments, settings)
    base = arguments.base_dir or embedded_base()
    history = arguments.history or arguments.out.parent / "history"
    request = Request(
        project=about.path,
        name=arguments.name or adapter_name(about.path),
        folders=Folders(arguments.out, history),
        settings=settings,
        base=base,
        dry_run=arguments.dry_run,
        promote=not arguments.no_promote,
        gpu=_has_gpu(),
    )
    with _shelf(arguments, about.path, base) as shelf:
        yield (
            request,
            Tools(
                collect=collect,
                settle=settle_here,
                train=train_here,
                open_runner=_opener(settings.measure, base),
                shelf=shelf,
                publish=publish if settings.retrain.publish else None,
            ),
        )


def _opener(settings: MeasureSettings, base: Path) -> Callable[[Path | None], Runner]:
    """Return what opens runners as the settings say."""
    chosen = argparse.Namespace(
        runner=settings.runner, base_dir=base, device=settings.device, dtype=settings.precision
    )
    return lambda adapter: open_chosen(chosen, adapter)


def _settings(arguments: argparse.Namespace) -> RetrainSettings:
    from training.pipeline.settings import load_retrain_settings

    settings = load_retrain_settings(arguments.settings)
    if arguments.min_new is None:
        return settings
    changed = settings.retrain.model_copy(update={"min_new": max(0, arguments.min_new)})
    return settings.model_copy(update={"retrain": changed})


def _project(
    arguments: argparse.Namespace, settings: RetrainSettings
) -> tuple[About, Callable[[Path, Callable[[int], None]], StageManifest], Callable[[Adapter], str]]:
    """Return the project, what collects its history, and what publishes an adapter in it."""
    from training.history.collect import collect
    from training.history.connection import Access, Server
    from training.history.project import Project, find_project
    from training.packages import Packages
    from training.packages import publish as send

    token, is_job = find_token(arguments.token_file)
    access = Access(
        arguments.url.rstrip("/"),
        token,
        is_job,
        arguments.ca_file,
        requests_per_second=settings.collect.requests_per_second,
    )
    server = Server(access)
    about = find_project(server, arguments.project)

    def collected(out: Path, step: Callable[[int], None]) -> StageManifest:
        project = Project(server, about, settings.collect, lenient=is_job)
        return collect(project, out, settings.collect, step=step)

    def published(adapter: Adapter) -> str:
        packages = Packages(Server(access, follows=True), str(about.id))
        return f"{packages.name} {send(packages, adapter.path).version}"

    return about, collected, published


@contextmanager
def _shelf(arguments: argparse.Namespace, project: str, base: Path) -> Iterator[Shelf]:
    if arguments.engine:
        from training.pipeline.engine_shelf import EngineShelf

        token = _engine_token(arguments.engine_token_file)
        yield EngineShelf(arguments.engine, token, project, arguments.engine_ca_file)
        return
    from engine.finetune.record import base_sha256
    from engine.settings import load_settings
    from engine.store.opening import open_store
    from training.pipeline.shelf import StoreShelf

    with open_store(load_settings()) as store:
        yield StoreShelf(store, project, base_sha256(base))


def _engine_token(file: Path | None) -> SecretStr | None:
    """Return the engine's token; it is never an argument: others could see it."""
    from pydantic import SecretStr

    if file is None:
        text = os.environ.get(ENGINE_TOKEN_VARIABLE, "").strip()
        return SecretStr(text) if text else None
    try:
        return SecretStr(file.read_text("utf-8").strip())
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--engine-token-file {file}: cannot be read") from error


def _has_gpu() -> bool:
    """Guess, for the time it takes; whoever really asks has to import torch."""
    return any(Path(device).exists() for device in ("/dev/nvidia0", "/dev/kfd"))


def _show(result: RunResult, out: Path) -> None:
    from engine.retraining import read_status

    status = read_status(out)
    rows: dict[str, Any] = {"outcome": result.outcome.value}
    if status is not None and status.plan is not None:
        plan = status.plan
        rows["items"] = f"{plan.items}, {plan.with_findings} with findings, {plan.new} of these new"
        rows["split"] = f"train {plan.train}, dev {plan.dev}, test {plan.test}"
        if plan.examples and result.version == "":
            rows["such as"] = "; ".join(plan.examples)
        if plan.seconds is not None and result.version == "":
            rows["takes about"] = f"{plan.seconds:.0f} s"
    if result.version:
        rows["candidate"], rows["compared with"] = result.version, result.champion or "the base model"
    for name, value in rows.items():
        print(f"{name}: {value}")
    for row in result.rows:
        values = (row.base, row.champion, row.candidate)
        print(f"  {row.name}: " + " -> ".join("–" if value is None else f"{value:.3f}" for value in values))
    for reason in result.reasons:
        print(f"  {reason}")
    print(out)
