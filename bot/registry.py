"""What a command is, and what its handler is given. The commands themselves are `bot.handlers`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

from bot.commands import Command, Grammar
from bot.engine import Engine
from bot.errands import Actor, CommandErrand, Place
from bot.gitlab import Access, GitLab, MergeRequest, User
from bot.jobs import Jobs
from bot.learning import Learning
from bot.projects import Projects
from bot.texts import TEXTS, Texts
from engine.config import ProjectConfig
from engine.wire import Language

Device = Callable[[], AbstractAsyncContextManager[bool]]
"""Gives the right to use the device that models run on, while inside: False where one is trained on it."""


@asynccontextmanager
async def own_device() -> AsyncIterator[bool]:
    """Use a device that nobody trains on."""
    yield True


@dataclass(frozen=True, slots=True)
class Ports:
    """Everything outside that handlers use."""

    gitlab: GitLab
    jobs: Jobs
    engine: Engine
    projects: Projects
    me: User
    learning: Learning | None = None  # None: not set up
    device: Device = own_device


@dataclass(frozen=True, slots=True)
class Context:
    """A command's surroundings."""

    errand: CommandErrand
    mr: MergeRequest
    access: int  # of whoever asks; high enough for the command
    config: ProjectConfig
    project: str  # its path, by which the engine knows it
    ports: Ports
    registry: Registry

    @property
    def place(self) -> Place:
        """The asking note."""
        return self.errand.place

    @property
    def actor(self) -> Actor:
        """Who asks."""
        return self.errand.actor

    @property
    def gitlab(self) -> GitLab:
        """The server."""
        return self.ports.gitlab

    @property
    def language(self) -> Language:
        """The project's language."""
        return self.config.language

    @property
    def texts(self) -> Texts:
        """All static texts in the project's language."""
        return TEXTS[self.language]


Handler = Callable[[Command, Context], Awaitable[str | None]]
"""Does what a command says; returns the answer in Markdown, or None where that comes later.

Raises CommandRefused with the answer where it does not do it. It may be run twice, if the process ends in the
middle, so it leaves the same behind as when run once.
"""


@dataclass(frozen=True, slots=True)
class Option:
    """`--name`, or `--name=VALUE` where there are values to choose from."""

    name: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CommandSpec:
    """A command: how it is used, by whom, and what it does."""

    name: str
    usage: str
    example: str
    about: Mapping[Language, str]
    access: Access  # needed unless the settings say otherwise
    run: Handler
    options: tuple[Option, ...] = ()
    multiline: bool = False  # takes the lines that follow as well
    floor: Access = Access.REPORTER  # the least that settings may ask for


class Registry:
    """All commands, with what each needs here."""

    def __init__(self, specs: Iterable[CommandSpec], access: Mapping[str, Access] | None = None) -> None:
        self._specs = {spec.name: spec for spec in specs}
        self._access = {name: spec.access for name, spec in self._specs.items()} | dict(access or {})

    def __iter__(self) -> Iterator[CommandSpec]:
        return iter(self._specs.values())

    def __getitem__(self, name: str) -> CommandSpec:
        return self._specs[name]

    def get(self, name: str) -> CommandSpec | None:
        """Return the command of this name, or None."""
        return self._specs.get(name)

    def access(self, name: str) -> Access:
        """Return the role that a command needs."""
        return self._access[name]

    @property
    def grammar(self) -> Grammar:
        """What the parser of notes has to know."""
        return Grammar(tuple(self._specs), tuple(s.name for s in self if s.multiline))
