// Where VS Code begins and ends the extension: makes its parts and listens to what concerns them.

import * as vscode from "vscode";

import { Bar } from "./bar";
import { register } from "./commands";
import { onInterpreter } from "./interpreter";
import { Results } from "./results";
import { Session } from "./session";

let session: Session | undefined;

export function activate(context: vscode.ExtensionContext): void {
  const log = vscode.window.createOutputChannel("Tenken", { log: true });
  const bar = new Bar();
  const results = new Results();
  const made = (session = new Session(context, bar, results, log));
  context.subscriptions.push(log, bar, results);
  register(context, made, bar);

  context.subscriptions.push(
    vscode.workspace.onDidGrantWorkspaceTrust(() => made.restart()),
    vscode.workspace.onDidChangeConfiguration((event) => {
      if (event.affectsConfiguration("tenken.serverPath") || event.affectsConfiguration("tenken.pull")) {
        void made.restart();
      }
    }),
    context.secrets.onDidChange(() => made.settingsChanged()),
  );
  void made.restart();
  void onInterpreter(() => {
    if (bar.place.kind === "missing" || made.usesInterpreter) {
      void made.restart();
    }
  }).then((listening) => listening && context.subscriptions.push(listening));
}

export async function deactivate(): Promise<void> {
  await session?.stop();
}
