import assert from "node:assert/strict";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";

import { COMMANDS } from "./saying";

const MANIFEST = readFileSync("package.json", "utf8");
const PACKAGE = JSON.parse(MANIFEST) as {
  readonly contributes: {
    readonly commands: readonly { readonly command: string }[];
    readonly menus: { readonly commandPalette: readonly { readonly command: string }[] };
  };
};
const SOURCES = readdirSync("src").map((name) => readFileSync(join("src", name), "utf8"));
const ALL = SOURCES.join("\n");
const ENGLISH = texts("package.nls.json");
const JAPANESE = texts("package.nls.ja.json");

function texts(path: string): Record<string, string> {
  return JSON.parse(readFileSync(path, "utf8")) as Record<string, string>;
}

test("Both languages have each text of package.json, and none that it has no use for.", () => {
  const used = [...MANIFEST.matchAll(/"%([^"%]+)%"/g)].map(([, key]) => key ?? "").sort();
  assert.deepEqual(Object.keys(ENGLISH).sort(), [...new Set(used)]);
  assert.deepEqual(Object.keys(JAPANESE).sort(), Object.keys(ENGLISH).sort());
  for (const [key, text] of Object.entries(JAPANESE)) {
    const links = (of: string) => [...of.matchAll(/\(command:[^)]*\)/g)].map(([link]) => link);
    assert.deepEqual(links(text), links(ENGLISH[key] ?? ""), key);
  }
});

test("All that the extension says has its Japanese, with the same blanks, and no Japanese is left over.", () => {
  const said = [...ALL.matchAll(/\b(?:say|l10n\.t)\(\s*"((?:[^"\\]|\\.)*)"/g)].map(([, text]) => text ?? "");
  const japanese = texts("l10n/bundle.l10n.ja.json");
  assert.deepEqual(Object.keys(japanese).sort(), [...new Set(said)].sort());
  for (const [text, translated] of Object.entries(japanese)) {
    const blanks = (of: string) => [...of.matchAll(/\{\d\}/g)].map(([blank]) => blank).sort();
    assert.deepEqual(blanks(translated), blanks(text), text);
  }
});

test("Each command that is offered is registered, and each of the server's can be reached.", () => {
  const offered = PACKAGE.contributes.commands.map(({ command }) => command);
  const commands = SOURCES.find((source) => source.includes("registerCommand(")) ?? "";
  const table = commands.slice(commands.indexOf("Record<string"), commands.indexOf("for (const"));
  const registered = [...table.matchAll(/^ {4}(\w+): /gm)].map(([, name]) => `tenken.${name}`);
  assert.deepEqual([...offered].sort(), registered.sort());
  assert.deepEqual(
    offered.filter((command) => COMMANDS.includes(command)),
    [],
    "the client registers these itself",
  );
  for (const command of COMMANDS) {
    assert.ok(commands.includes(`"${command}"`), command);
  }
  for (const { command } of PACKAGE.contributes.menus.commandPalette) {
    assert.ok(offered.includes(command), command);
  }
});

test("The walkthrough's pages exist in both languages, and its links lead to commands.", () => {
  const offered = PACKAGE.contributes.commands.map(({ command }) => command);
  for (const [key, path] of Object.entries(ENGLISH).filter(([name]) => name.endsWith(".page"))) {
    assert.ok(existsSync(path), path);
    assert.ok(existsSync(JAPANESE[key] ?? ""), key);
  }
  for (const [, command] of Object.values(ENGLISH)
    .join("\n")
    .matchAll(/\(command:(tenken\.\w+)/g)) {
    assert.ok(offered.includes(command ?? ""), command);
  }
});
