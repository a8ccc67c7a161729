"""Which roles settings may ask for, and what everybody's role is called."""

from __future__ import annotations

import pytest

from bot.errors import CommandRefused
from bot.gitlab import Access
from bot.handlers.catalogue import COMMANDS
from bot.permissions import read_access, require, role_of
from bot.registry import Registry
from bot.texts import TEXTS
from engine.errors import ConfigError
from engine.wire import Language


def test_without_settings_each_command_has_its_own_role() -> None:
    """Reviews are for developers; what changes the model is for maintainers."""
    registry = Registry(COMMANDS, read_access({}, COMMANDS))
    assert registry.access("review") == Access.DEVELOPER
    assert registry.access("retrain") == registry.access("rollback") == Access.MAINTAINER


def test_settings_name_command_and_role() -> None:
    """In any case, with or without the slash."""
    found = read_access({"Review": "MAINTAINER", "/ask": "reporter"}, COMMANDS)
    assert found == {"review": Access.MAINTAINER, "ask": Access.REPORTER}


@pytest.mark.parametrize(
    ("configured", "message"),
    [
        ({"reviews": "developer"}, "reviews: no such command; there are: review, ask"),
        ({"review": "boss"}, "review: boss: no such role; there are: reporter, developer"),
        ({"review": "guest"}, "review: guest: no such role"),
        ({"retrain": "developer"}, "retrain: needs maintainer at least"),
        ({"rollback": "reporter"}, "rollback: needs maintainer at least"),
    ],
)
def test_settings_cannot_let_anybody_in(configured: dict[str, str], message: str) -> None:
    """A guest may be anybody, and nobody below a maintainer changes what the model learns."""
    with pytest.raises(ConfigError, match=f"BOT_ACCESS: {message}"):
        read_access(configured, COMMANDS)


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize(("access", "outsider"), [(0, True), (10, False), (25, False)])
def test_a_refusal_names_command_and_role(language: Language, access: int, outsider: bool) -> None:
    """Members are told the role it takes, others that it is for members."""
    texts = TEXTS[language]
    with pytest.raises(CommandRefused) as caught:
        require("review", Access.DEVELOPER, access, texts)
    text = texts.refused_outsider if outsider else texts.refused
    assert str(caught.value) == text.format(command="`/review`", role=texts.role[Access.DEVELOPER])


@pytest.mark.parametrize("access", [30, 35, 40, 50, 60])
def test_enough_is_enough(access: int) -> None:
    """Roles are compared, so one that this version does not know counts as well."""
    require("review", Access.DEVELOPER, access, TEXTS[Language.EN])


@pytest.mark.parametrize(
    ("access", "name"),
    [(-1, "none"), (0, "none"), (15, "guest"), (25, "reporter"), (30, "developer"), (60, "owner")],
)
def test_roles_have_names(access: int, name: str) -> None:
    """What is kept about feedback is the highest role somebody has."""
    assert role_of(access) == name
