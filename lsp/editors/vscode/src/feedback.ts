// Asks what the team and training should know of a finding that is hidden.

import * as vscode from "vscode";

/** The argument of a command, see PROTOCOL.md. */
export type Argument = Readonly<Record<string, unknown>>;

/** Return a command's argument with what only a person can tell; `undefined` if they would rather not go on. */
export async function completed(command: string, argument: Argument): Promise<Argument | undefined> {
  switch (command) {
    case "tenken.wrong":
      return await withReason(argument);
    case "tenken.wontFix":
      return argument["reason"] === undefined ? await withWhy(argument) : argument;
    default:
      return argument;
  }
}

async function withReason(argument: Argument): Promise<Argument | undefined> {
  const reason = argument["reason"] ?? (await chosenReason());
  if (reason === undefined) {
    return undefined;
  }
  if (reason !== "other") {
    return { ...argument, reason };
  }
  const comment = await vscode.window.showInputBox({
    title: vscode.l10n.t("What is wrong with this finding?"),
    placeHolder: vscode.l10n.t("For the team and for training; Enter alone says nothing more"),
  });
  return comment === undefined ? undefined : { ...argument, reason, ...(comment && { comment }) };
}

async function chosenReason(): Promise<string | undefined> {
  const items = [
    { reason: "notTrue", label: vscode.l10n.t("It is not true") },
    { reason: "intended", label: vscode.l10n.t("It is meant to be so") },
    { reason: "wrongLine", label: vscode.l10n.t("It is on the wrong line") },
    { reason: "badSuggestion", label: vscode.l10n.t("The suggestion is wrong") },
    { reason: "other", label: vscode.l10n.t("Something else") },
  ];
  const title = vscode.l10n.t("What is wrong with this finding?");
  return (await vscode.window.showQuickPick(items, { title }))?.reason;
}

async function withWhy(argument: Argument): Promise<Argument | undefined> {
  const reason = await vscode.window.showInputBox({
    title: vscode.l10n.t("Why will this not be fixed?"),
    placeHolder: vscode.l10n.t("For the team; Enter alone gives no reason"),
  });
  return reason === undefined ? undefined : { ...argument, ...(reason && { reason }) };
}
