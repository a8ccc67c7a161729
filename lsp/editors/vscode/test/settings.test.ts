import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

import { remarksAt } from "../src/findings";
import { type Inspected, declared, given } from "../src/settings";
import { SETTINGS, USER_ONLY } from "./saying";

const MANIFEST: unknown = JSON.parse(readFileSync("package.json", "utf8"));
const DECLARED = declared(MANIFEST);

test("The server's settings are those of the protocol.", () => {
  assert.deepEqual(DECLARED.map(({ key }) => key).sort(), [...SETTINGS].sort());
});

test("What says where code and tokens go is the user's alone.", () => {
  const userOnly = DECLARED.filter(({ scope }) => scope === "machine").map(({ key }) => key);
  assert.deepEqual(userOnly.sort(), [...USER_ONLY].sort());
  assert.ok(userOnly.length >= 9);
});

test("A folder's value counts, but not where it would say where code goes.", () => {
  const values = {
    engineUrl: { globalValue: "http://mine", workspaceValue: "http://theirs" },
    engineToken: { workspaceFolderValue: "theirs" },
    scope: { globalValue: "head", workspaceValue: "staged" },
    onSave: { globalValue: true, workspaceFolderValue: false },
  };
  const found = given(DECLARED, (key) => values[key as keyof typeof values]);
  assert.deepEqual(found, { engineUrl: "http://mine", scope: "staged", onSave: false });
});

test("What nobody set is not sent: the server's environment counts then.", () => {
  const values: Record<string, Inspected> = {
    severity: { globalValue: null },
    baseBranch: { globalValue: "" },
  };
  assert.deepEqual(
    given(DECLARED, (key) => values[key]),
    {},
  );
});

test("A line's findings are those that reach it; threads are no findings, and others' diagnostics are neither.", () => {
  const range = { start: { line: 2 }, end: { line: 4 } };
  const finding = { range, message: "No eval.", data: { fingerprint: "f", hasSuggestion: true } };
  const thread = { range, message: "Why?", data: { thread: "t", url: "https://gitlab.example" } };
  const theirs = { range, message: "Unused." };
  const all = [finding, thread, theirs];
  assert.deepEqual(remarksAt(all, 4), [{ message: "No eval.", mark: { fingerprint: "f" } }]);
  assert.deepEqual(remarksAt(all, 4, true), [
    { message: "No eval.", mark: { fingerprint: "f" } },
    { message: "Why?", mark: { thread: "t" } },
  ]);
  assert.deepEqual(remarksAt(all, 5, true), []);
});
