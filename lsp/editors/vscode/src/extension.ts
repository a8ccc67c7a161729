// Where VS Code begins and ends the extension: makes its parts and listens to what concerns them.

import * as vscode from "vscode";

import { Bar } from "./bar";
import { register } from "./commands";
import { Results } from "./results";
import { Session } from "./session";

let session: Session | undefined;

export function activate(context: vscode.ExtensionContext): void {
  const log = vscode.window.createOutputChannel("Tenken", { log: true });
  const bar = new Bar();
  const results = new Results();
  const made = new Session(context, bar, results, log);
  session = made;
  register(context, made, bar);
  context.subscriptions.push(
    log,
    bar,
    results,
    vscode.workspace.onDidGrantWorkspaceTrust(() => made.restart()),
    vscode.workspace.onDidChangeWorkspaceFolders(() => made.placesChanged()),
    vscode.workspace.onDidChangeConfiguration((event) => {
      if (["serverPath", "pull"].some((key) => event.affectsConfiguration(`tenken.${key}`))) {
        void made.restart();
      }
    }),
    context.secrets.onDidChange(() => made.settingsChanged()),
  );
  void made.restart();
}

export async function deactivate(): Promise<void> {
  await session?.stop();
}
