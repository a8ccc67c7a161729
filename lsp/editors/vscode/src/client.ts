// The client of one server: what it is told when it begins, the settings it asks for, the commands it runs.

import { homedir } from "node:os";

import * as vscode from "vscode";
import { LanguageClient, type LanguageClientOptions, type Middleware } from "vscode-languageclient/node";

import { type Argument, completed } from "./feedback";
import type { Server } from "./lookup";
import type { Results } from "./results";
import { declared, given } from "./settings";
import { withTokens } from "./tokens";

/** Return a client that starts a server when it is started itself. */
export function makeClient(
  server: Server,
  context: vscode.ExtensionContext,
  results: Results,
  log: vscode.LogOutputChannel,
): LanguageClient {
  // In the user's home: the folder under review decides nothing about the process that reviews it.
  const executable = { command: server.command, args: [...server.args], options: { cwd: homedir() } };
  const options: LanguageClientOptions = {
    documentSelector: [{ scheme: "file" }],
    outputChannel: log,
    initializationOptions: {
      client: { status: true, results: true },
      // This one alone has to be known before the server says what it can do.
      tenken: { pull: vscode.workspace.getConfiguration("tenken").get("pull") === true },
    },
    middleware: {
      workspace: { configuration: configuration(context) },
      executeCommand: executeCommand(results),
    },
  };
  return new LanguageClient("tenken", "Tenken", executable, options);
}

/** Answer the server's question for settings with what the user set. */
function configuration(
  context: vscode.ExtensionContext,
): NonNullable<Middleware["workspace"]>["configuration"] {
  const settings = declared(context.extension.packageJSON);
  return async ({ items }) => {
    const configured = vscode.workspace.getConfiguration("tenken");
    const found = await withTokens(
      given(settings, (key) => configured.inspect(key)),
      context.secrets,
    );
    return items.map(() => found);
  };
}

/** Ask what only a person can tell before a command runs, and show its result after. */
function executeCommand(results: Results): Middleware["executeCommand"] {
  return async (command, args, next) => {
    const argument = await completed(command, (args[0] ?? {}) as Argument);
    if (argument === undefined) {
      return undefined;
    }
    const result: unknown = await next(command, [argument]);
    await results.show(command, result);
    return result;
  };
}
