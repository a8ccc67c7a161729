// Where the server may be, in which order, and which of these places has it. Pure but for the probe it is given.

import { posix, win32 } from "node:path";

/** A way to start the server. */
export interface Program {
  readonly command: string;
  readonly args: readonly string[];
}

/** A program that answered, with what it says of itself. */
export interface Server extends Program {
  readonly version: string;
}

/** What is known of this machine and its user. */
export interface Surroundings {
  readonly platform: NodeJS.Platform;
  readonly home: string;
  /** The setting `serverPath`; empty if it is not set. */
  readonly setting: string;
  readonly folders: readonly string[];
  /** The environment variable PATH. */
  readonly path: string;
}

/** What a program said: its version, `undefined` if it is not there, or why it does not start. */
export type Probed = { readonly version: string } | { readonly problem: string } | undefined;
export type Probe = (program: Program) => Promise<Probed>;

/** Returns the Python that the user selected, if any. */
export type Interpreter = () => Promise<string | undefined>;

/** The server, or every place that was looked at and why it was none of them. */
export type Found = { readonly server: Server } | { readonly tried: readonly string[] };

/** Return the ways to start the server, the best first; the setting rules out all others. */
export function candidates(around: Surroundings): Program[] {
  if (around.setting) {
    return [{ command: expanded(around.setting, around.home), args: [] }];
  }
  const { join } = around.platform === "win32" ? win32 : posix;
  const [bin, name] = around.platform === "win32" ? ["Scripts", "tenken-lsp.exe"] : ["bin", "tenken-lsp"];
  const environments = around.folders.flatMap((folder) => [join(folder, ".venv"), join(folder, "venv")]);
  const found: Program[] = environments.map((folder) => ({ command: join(folder, bin, name), args: [] }));
  found.push(...onPath(around).map((folder) => ({ command: join(folder, name), args: [] })));
  return found;
}

/**
 * Return the first candidate that answers. Where none does, the Python that the user selected is asked for: telling
 * it may take another extension a while.
 */
export async function findServer(
  around: Surroundings,
  probe: Probe,
  interpreter: Interpreter,
): Promise<Found> {
  const tried: string[] = [];
  for await (const program of programs(around, interpreter)) {
    const answer = await probe(program);
    const shown = [program.command, ...program.args].join(" ");
    if (answer === undefined) {
      tried.push(shown);
    } else if ("problem" in answer) {
      tried.push(`${shown}: ${answer.problem}`);
    } else {
      return { server: { ...program, version: answer.version } };
    }
  }
  return { tried };
}

async function* programs(around: Surroundings, interpreter: Interpreter): AsyncGenerator<Program> {
  yield* candidates(around);
  const python = around.setting ? undefined : await interpreter();
  if (python) {
    // -P: the folder under review is no place to import from.
    yield { command: python, args: ["-P", "-m", "lsp"] };
  }
}

function expanded(path: string, home: string): string {
  return /^~[/\\]/.test(path) ? home + path.slice(1) : path;
}

/** Return the folders of PATH. Relative ones would mean the folder under review. */
function onPath(around: Surroundings): string[] {
  const { delimiter, isAbsolute } = around.platform === "win32" ? win32 : posix;
  return [...new Set(around.path.split(delimiter))].filter((folder) => isAbsolute(folder));
}
