// Tokens in the system's keyring, for those who want none in their settings file.

import * as vscode from "vscode";

const KEYS = ["engineToken", "gitlabToken"] as const;

/** Return settings, with the tokens kept in the keyring where the settings have none. */
export async function withTokens(
  settings: Record<string, unknown>,
  secrets: vscode.SecretStorage,
): Promise<Record<string, unknown>> {
  const found = { ...settings };
  for (const key of KEYS) {
    const kept = found[key] === undefined ? await secrets.get(key) : undefined;
    if (kept) {
      found[key] = kept;
    }
  }
  return found;
}

/** Have the user type a token; an empty one removes what was kept. */
export async function askToken(secrets: vscode.SecretStorage): Promise<void> {
  const names = {
    engineToken: vscode.l10n.t("Token of the engine"),
    gitlabToken: vscode.l10n.t("Own token for GitLab (read_api), to find threads"),
  };
  const items = KEYS.map((key) => ({ label: names[key], key }));
  const chosen = await vscode.window.showQuickPick(items, { title: vscode.l10n.t("Which token?") });
  if (chosen === undefined) {
    return;
  }
  const token = await vscode.window.showInputBox({
    title: chosen.label,
    prompt: vscode.l10n.t(
      "It is kept in the system's keyring. Leave it empty to remove the one that is kept.",
    ),
    password: true,
    ignoreFocusOut: true,
  });
  if (token !== undefined) {
    await (token.trim() ? secrets.store(chosen.key, token.trim()) : secrets.delete(chosen.key));
  }
}
