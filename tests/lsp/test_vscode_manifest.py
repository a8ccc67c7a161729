"""The README's table, the extension's package.json and the server have the same settings."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from editors import ROOT
from pydantic_core import PydanticUndefined

from lsp.settings import LspSettings

EXTENSION = ROOT / "lsp" / "editors" / "vscode"
MANIFEST = json.loads((EXTENSION / "package.json").read_text("utf-8"))
OWN = {"serverPath", "trace.server"}
DECLARED: dict[str, dict[str, Any]] = {
    name.removeprefix("tenken."): declared
    for part in MANIFEST["contributes"]["configuration"]
    for name, declared in part["properties"].items()
}
PAGE = (ROOT / "deploy" / "docs" / "settings.md").read_text("utf-8")
ROWS = PAGE.partition("## The editor")[2].partition("\n## ")[0]
FIELDS = {field.alias or name: field for name, field in LspSettings.model_fields.items()}
SCHEMA = LspSettings.model_json_schema(by_alias=True)


def test_the_same_settings_everywhere() -> None:
    """A setting of the server is on the page and in VS Code's settings, and nothing else is."""
    rows = re.findall(r"^\| `(\w+)` \|", ROWS, re.M)
    assert set(rows) == set(FIELDS)
    assert set(DECLARED) - OWN == set(FIELDS)


@pytest.mark.parametrize("key", FIELDS)
def test_a_setting_is_declared_as_it_is_checked(key: str) -> None:
    """Type, choices, limits and default of VS Code's settings editor are the server's."""
    declared, wanted = DECLARED[key], _flat(SCHEMA["properties"][key])
    types = declared["type"] if isinstance(declared["type"], list) else [declared["type"]]
    assert wanted["type"] in types
    if "enum" in wanted:
        assert [choice for choice in declared["enum"] if choice is not None] == wanted["enum"]
    for limit in ("minimum", "maximum", "exclusiveMinimum", "maxLength"):
        assert declared.get(limit) == wanted.get(limit), limit
    default = FIELDS[key].get_default()
    assert default is not PydanticUndefined
    shown = list(default) if isinstance(default, tuple) else default
    assert declared["default"] == ("" if shown is None and types == ["string"] else shown)


def test_what_goes_into_the_package() -> None:
    """The bundle's dependencies are exact, and none is installed by who uses it."""
    assert "dependencies" not in MANIFEST
    assert all(re.fullmatch(r"[\d.]+", version) for version in MANIFEST["devDependencies"].values())
    locked = json.loads((EXTENSION / "package-lock.json").read_text("utf-8"))["packages"][""]
    assert locked["devDependencies"] == MANIFEST["devDependencies"]


def _flat(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a property's schema without null and references."""
    for choice in schema.get("anyOf", schema.get("allOf", ())):
        if choice.get("type") != "null":
            return _flat(choice)
    if "$ref" in schema:
        found: dict[str, Any] = SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]]
        return found
    return schema
