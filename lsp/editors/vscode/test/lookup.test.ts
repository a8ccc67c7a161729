import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";

import { type Probed, type Program, type Surroundings, candidates, findServer } from "../src/lookup";
import { probe } from "../src/probing";

const AROUND: Surroundings = {
  platform: "linux",
  home: "/home/me",
  setting: "",
  folders: ["/code/app", "/code/lib"],
  path: "/usr/bin:.:/usr/bin::/opt/bin",
};

function shown(around: Partial<Surroundings>): string[] {
  return candidates({ ...AROUND, ...around }).map(({ command, args }) => [command, ...args].join(" "));
}

test("The folders' environments come first, then PATH without what is relative.", () => {
  assert.deepEqual(shown({}), [
    "/code/app/.venv/bin/tenken-lsp",
    "/code/app/venv/bin/tenken-lsp",
    "/code/lib/.venv/bin/tenken-lsp",
    "/code/lib/venv/bin/tenken-lsp",
    "/usr/bin/tenken-lsp",
    "/opt/bin/tenken-lsp",
  ]);
});

test("The setting rules out all else, and ~ is the user's home.", () => {
  assert.deepEqual(shown({ setting: "/x/tenken-lsp" }), ["/x/tenken-lsp"]);
  assert.deepEqual(shown({ setting: "~/x/tenken-lsp" }), ["/home/me/x/tenken-lsp"]);
});

test("Windows has other folders and separators.", () => {
  const around = {
    platform: "win32",
    folders: ["C:\\app"],
    path: "C:\\bin;D:\\bin",
    interpreter: undefined,
  } as const;
  assert.deepEqual(shown(around), [
    "C:\\app\\.venv\\Scripts\\tenken-lsp.exe",
    "C:\\app\\venv\\Scripts\\tenken-lsp.exe",
    "C:\\bin\\tenken-lsp.exe",
    "D:\\bin\\tenken-lsp.exe",
  ]);
});

const selected = async () => "/envs/a/bin/python";

test("The first that answers is the server; nothing after it is asked, and no Python looked for.", async () => {
  const asked: string[] = [];
  const answers: Record<string, Probed> = {
    "/usr/bin/tenken-lsp": { problem: "No module named pygls" },
    "/opt/bin/tenken-lsp": { version: "tenken-lsp 1" },
  };
  const probe = async ({ command }: Program) => {
    asked.push(command);
    return answers[command];
  };
  const found = await findServer(AROUND, probe, () => Promise.reject(new Error("was asked")));
  assert.deepEqual(found, { server: { command: "/opt/bin/tenken-lsp", args: [], version: "tenken-lsp 1" } });
  assert.equal(asked.at(-1), "/opt/bin/tenken-lsp");
});

test("The selected Python comes last, and imports nothing from the folder.", async () => {
  const probe = async ({ args }: Program) => (args.length > 0 ? { version: "tenken-lsp 1" } : undefined);
  const found = await findServer(AROUND, probe, selected);
  const server = { command: "/envs/a/bin/python", args: ["-P", "-m", "lsp"], version: "tenken-lsp 1" };
  assert.deepEqual(found, { server });
  assert.deepEqual(await findServer({ ...AROUND, setting: "/x" }, probe, selected), { tried: ["/x"] });
});

test("Where none answers, all places are told, with what is wrong with them.", async () => {
  const around = { ...AROUND, folders: [], path: "/usr/bin" };
  const probe = async ({ args }: Program) => (args.length > 0 ? { problem: "no module" } : undefined);
  const found = await findServer(around, probe, selected);
  assert.deepEqual(found, { tried: ["/usr/bin/tenken-lsp", "/envs/a/bin/python -P -m lsp: no module"] });
});

test("A program is the server if it says so: others, broken and missing ones are told apart.", async () => {
  const folder = mkdtempSync(join(tmpdir(), "tenken-"));
  const program = (name: string, body: string): Program => {
    const command = join(folder, name);
    writeFileSync(command, `#!/bin/sh\n${body}\n`);
    chmodSync(command, 0o755);
    return { command, args: [] };
  };
  assert.deepEqual(await probe(program("good", "echo tenken-lsp 1.2"), folder), {
    version: "tenken-lsp 1.2",
  });
  assert.deepEqual(await probe(program("other", "echo other 3"), folder), { problem: "other 3" });
  const broken = await probe(
    program("broken", "echo first >&2; echo pygls is not installed >&2; exit 3"),
    folder,
  );
  assert.deepEqual(broken, { problem: "pygls is not installed" });
  assert.equal(await probe({ command: join(folder, "none"), args: [] }, folder), undefined);
});
