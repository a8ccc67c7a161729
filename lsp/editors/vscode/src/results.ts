// Shows what commands answer: explanations and the status as pages, a prompt on the clipboard.

import * as vscode from "vscode";

const SCHEME = "tenken";

/** Pages that were made and are shown. */
export class Results implements vscode.TextDocumentContentProvider, vscode.Disposable {
  private readonly pages = new Map<string, string>();
  private readonly edited = new vscode.EventEmitter<vscode.Uri>();
  private readonly registered = vscode.workspace.registerTextDocumentContentProvider(SCHEME, this);

  readonly onDidChange = this.edited.event;

  /** Show the result of one of the server's commands, where there is something to show. */
  async show(command: string, result: unknown): Promise<void> {
    const { title, markdown, text } = (result ?? {}) as Partial<Record<string, string>>;
    switch (command) {
      case "tenken.explain":
      case "tenken.showStatus":
        if (markdown !== undefined) {
          await this.page(title ?? vscode.l10n.t("Tenken status"), markdown);
        }
        break;
      case "tenken.copyPrompt":
        if (text !== undefined) {
          await vscode.env.clipboard.writeText(text);
          void vscode.window.showInformationMessage(vscode.l10n.t("Tenken: copied."));
        }
        break;
    }
  }

  provideTextDocumentContent(uri: vscode.Uri): string {
    return this.pages.get(uri.path) ?? "";
  }

  dispose(): void {
    this.registered.dispose();
    this.edited.dispose();
  }

  private async page(title: string, markdown: string): Promise<void> {
    const uri = vscode.Uri.from({ scheme: SCHEME, path: `/${title}.md` });
    this.pages.set(uri.path, markdown);
    this.edited.fire(uri);
    await vscode.commands.executeCommand("markdown.showPreviewToSide", uri);
  }
}
