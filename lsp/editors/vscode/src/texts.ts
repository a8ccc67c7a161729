// How the extension says things: English in the code, other languages in l10n/.

/** Returns a text in the user's language, with {0}, {1} ... filled in: `vscode.l10n.t`. */
export type Say = (text: string, ...values: (string | number)[]) => string;
