// The Python that the user selected, as Microsoft's Python extension tells it.

import * as vscode from "vscode";

/** As much of that extension's API as is used here. */
interface PythonApi {
  readonly environments: {
    getActiveEnvironmentPath(resource?: vscode.Uri): { readonly path: string };
    resolveEnvironment(environment: { readonly path: string }): Promise<Environment | undefined>;
    readonly onDidChangeActiveEnvironmentPath: vscode.Event<unknown>;
  };
}

interface Environment {
  readonly executable: { readonly uri: vscode.Uri | undefined };
}

/** The selected Python. Nothing is asked of that extension before somebody needs to know. */
export class SelectedPython implements vscode.Disposable {
  private listening: vscode.Disposable | undefined;

  constructor(private readonly changed: () => unknown) {}

  /** Return its path, `undefined` without that extension or a selection; call `changed` when it is another one. */
  async path(folder: vscode.Uri | undefined): Promise<string | undefined> {
    const environments = (await api())?.environments;
    if (environments === undefined) {
      return undefined;
    }
    this.listening ??= environments.onDidChangeActiveEnvironmentPath(this.changed);
    const found = await environments.resolveEnvironment(environments.getActiveEnvironmentPath(folder));
    return found?.executable.uri?.fsPath;
  }

  dispose(): void {
    this.listening?.dispose();
  }
}

async function api(): Promise<PythonApi | undefined> {
  const extension = vscode.extensions.getExtension<PythonApi>("ms-python.python");
  try {
    return await extension?.activate();
  } catch {
    return undefined; // it says itself what is wrong with it
  }
}
