// Asks a program whether it is the server.

import { execFile } from "node:child_process";
import { access, constants } from "node:fs/promises";

import type { Probed, Program } from "./lookup";

const WAIT_MS = 20_000; // the first start after an installation compiles everything
const VERSION = /^tenken-lsp \S+/;

/** Return what a program says of itself; it runs in the user's home, never in the folder under review. */
export async function probe(program: Program, home: string): Promise<Probed> {
  try {
    await access(program.command, constants.X_OK);
  } catch {
    return undefined;
  }
  return new Promise((resolve) => {
    const options = { cwd: home, timeout: WAIT_MS, windowsHide: true };
    execFile(program.command, [...program.args, "--version"], options, (error, stdout, stderr) => {
      const version = VERSION.exec(stdout)?.[0];
      if (version) {
        resolve({ version });
      } else {
        const why = error?.killed ? `no answer in ${WAIT_MS / 1000} s` : (error?.message ?? "");
        resolve({ problem: lastLine(stderr) || lastLine(why) || lastLine(stdout) });
      }
    });
  });
}

function lastLine(text: string): string {
  return text.trim().split(/\r?\n/).at(-1)?.trim() ?? "";
}
