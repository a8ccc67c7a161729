// What can be chosen in the command palette and in the menu of the status bar item.

import * as vscode from "vscode";

import type { Bar } from "./bar";
import type { Argument } from "./feedback";
import { remarksAt } from "./findings";
import { choices } from "./menu";
import type { Session } from "./session";
import { askToken } from "./tokens";

const WALKTHROUGH = "tenken.tenken#start"; // publisher.name#id

type Arguments = () => Argument | undefined | Promise<Argument | undefined>;

/** Register the commands of package.json. The server's own have other names: its client registers those. */
export function register(context: vscode.ExtensionContext, session: Session, bar: Bar): void {
  const { executeCommand, registerCommand } = vscode.commands;
  const asked = (name: string, argument?: Arguments) => () => ask(session, bar, name, argument);
  const about = (name: string) => asked(name, () => atCursor(session));
  const commands: Readonly<Record<string, () => unknown>> = {
    reviewChanges: asked("tenken.review"),
    reviewEverything: asked("tenken.review", () => ({ force: true })),
    reviewThisFile: asked("tenken.reviewFile", thisFile),
    reviewWholeBranch: asked("tenken.reviewBranch"),
    stopReview: asked("tenken.cancel"),
    clearFindings: asked("tenken.clear"),
    showFindings: () => executeCommand("workbench.actions.view.problems"),
    applySuggestion: asked("tenken.applied", () => applied(session)),
    explainFinding: about("tenken.explain"),
    dismissFinding: about("tenken.dismiss"),
    wontFixFinding: about("tenken.wontFix"),
    wrongFinding: about("tenken.wrong"),
    copyFinding: about("tenken.copyPrompt"),
    openThreadHere: asked("tenken.openThread", () => atCursor(session, true)),
    undoLast: asked("tenken.undo"),
    status: asked("tenken.showStatus"),
    menu: () => menu(bar),
    restart: () => session.restart(),
    showLog: () => session.log.show(),
    openSettings: () => executeCommand("workbench.action.openSettings", `@ext:${context.extension.id}`),
    openWalkthrough: () => executeCommand("workbench.action.openWalkthrough", WALKTHROUGH, false),
    setToken: () => askToken(context.secrets),
  };
  for (const [name, run] of Object.entries(commands)) {
    context.subscriptions.push(registerCommand(`tenken.${name}`, run));
  }
}

/** Run a command of the server, once it runs; say why where it does not. */
async function ask(
  session: Session,
  bar: Bar,
  command: string,
  argument: Arguments = () => ({}),
): Promise<void> {
  await session.ready();
  if (!session.isRunning) {
    await sayWhy(session, bar);
    return;
  }
  const given = await argument();
  if (given !== undefined) {
    await session.run(command, given);
  }
}

async function sayWhy(session: Session, bar: Bar): Promise<void> {
  if (bar.place.kind === "missing") {
    session.sayMissing(bar.place.tried);
    return;
  }
  const [action] = choices(bar.place, vscode.l10n.t);
  const text =
    bar.place.kind === "restricted"
      ? vscode.l10n.t("Tenken: nothing runs in a folder that is not trusted.")
      : vscode.l10n.t("Tenken: the server does not run.");
  const label = action?.label.replace(/^\$\([^)]*\) /, "") ?? "";
  if (action !== undefined && (await vscode.window.showWarningMessage(text, label)) === label) {
    await vscode.commands.executeCommand(action.command);
  }
}

async function menu(bar: Bar): Promise<void> {
  const items = choices(bar.place, vscode.l10n.t);
  const chosen = await vscode.window.showQuickPick(items, { title: "Tenken" });
  if (chosen !== undefined) {
    await vscode.commands.executeCommand(chosen.command);
  }
}

function thisFile(): Argument | undefined {
  const uri = vscode.window.activeTextEditor?.document.uri;
  if (uri?.scheme !== "file") {
    void vscode.window.showInformationMessage(vscode.l10n.t("Tenken: open the file first."));
    return undefined;
  }
  return { uri: uri.toString() };
}

/** Return the finding on the cursor's line, or the thread where those count; the user's choice where there are several. */
async function atCursor(session: Session, threads = false): Promise<Argument | undefined> {
  const editor = vscode.window.activeTextEditor;
  const uri = editor?.document.uri;
  const found =
    editor && uri ? remarksAt(session.diagnostics(uri), editor.selection.active.line, threads) : [];
  if (uri === undefined || found.length === 0) {
    void vscode.window.showInformationMessage(vscode.l10n.t("Tenken: no finding on this line."));
    return undefined;
  }
  const items = found.map(({ message, mark }) => ({ label: message, mark }));
  const title = vscode.l10n.t("Which finding?");
  const chosen = items.length > 1 ? await vscode.window.showQuickPick(items, { title }) : items[0];
  return chosen && { uri: uri.toString(), ...chosen.mark };
}

/** Put the suggestion of the cursor's finding in its place; return the finding where that was done. */
async function applied(session: Session): Promise<Argument | undefined> {
  const mark = await atCursor(session);
  const editor = vscode.window.activeTextEditor;
  if (mark === undefined || editor === undefined) {
    return undefined;
  }
  const actions = await vscode.commands.executeCommand<vscode.CodeAction[]>(
    "vscode.executeCodeActionProvider",
    editor.document.uri,
    editor.selection,
    vscode.CodeActionKind.QuickFix.value,
  );
  const edit = actions.find(({ command }) => {
    const argument = command?.arguments?.[0] as Argument | undefined;
    return command?.command === "tenken.applied" && argument?.["fingerprint"] === mark["fingerprint"];
  })?.edit;
  if (edit === undefined) {
    void vscode.window.showInformationMessage(vscode.l10n.t("Tenken: this finding has no suggestion."));
    return undefined;
  }
  return (await vscode.workspace.applyEdit(edit)) ? mark : undefined;
}
