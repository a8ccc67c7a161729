// The one server of this window: found, started, stopped, and started again when something about it changes.

import { homedir } from "node:os";

import * as vscode from "vscode";
import { type LanguageClient, State } from "vscode-languageclient/node";

import type { Bar } from "./bar";
import { makeClient } from "./client";
import type { Argument } from "./feedback";
import { SelectedPython } from "./interpreter";
import { type Server, type Surroundings, findServer } from "./lookup";
import { probe } from "./probing";
import type { Results } from "./results";
import type { Status } from "./status";

const STATUS = "tenken/status";
const RUNNING = "tenken.running"; // the context that menus ask for

/** Finds the server, keeps its client, and tells the status bar how it is. */
export class Session {
  private client: LanguageClient | undefined;
  private server: Server | undefined;
  private turn: Promise<void> = Promise.resolve();
  private readonly python = new SelectedPython(() => this.placesChanged());

  constructor(
    private readonly context: vscode.ExtensionContext,
    private readonly bar: Bar,
    private readonly results: Results,
    readonly log: vscode.LogOutputChannel,
  ) {
    context.subscriptions.push(this.python);
  }

  /** Whether the server can be asked something. */
  get isRunning(): boolean {
    return this.client?.state === State.Running;
  }

  /** Wait for the server to be up, or found to be away. */
  async ready(): Promise<void> {
    await this.turn;
  }

  /** What the server shows of a document. */
  diagnostics(uri: vscode.Uri): readonly vscode.Diagnostic[] {
    return this.client?.diagnostics?.get(uri) ?? [];
  }

  /** Start the server, or start it again. Whoever calls meanwhile waits for the first to be done. */
  restart(): Promise<void> {
    this.turn = this.turn
      .then(() => this.stop())
      .then(() => this.start())
      .catch((error: unknown) => {
        this.log.error(String(error));
        this.bar.show({ kind: "stopped" });
      });
    return this.turn;
  }

  /** Look for the server again, if there is none or it is in the Python that was selected: that may be another. */
  async placesChanged(): Promise<void> {
    if (this.bar.place.kind === "missing" || (this.server?.args.length ?? 0) > 0) {
      await this.restart();
    }
  }

  /** Have the server read its settings again. */
  async settingsChanged(): Promise<void> {
    if (this.isRunning) {
      await this.client?.sendNotification("workspace/didChangeConfiguration", { settings: null });
    }
  }

  /** Run one of the server's commands, and show what it answers. */
  async run(command: string, argument: Argument = {}): Promise<unknown> {
    return await vscode.commands.executeCommand(command, argument);
  }

  /** Stop the server. */
  async stop(): Promise<void> {
    const client = this.client;
    this.client = this.server = undefined;
    await vscode.commands.executeCommand("setContext", RUNNING, false);
    try {
      await client?.dispose();
    } catch (error) {
      this.log.warn(String(error)); // it never started, or has ended by itself
    }
  }

  /** Say that there is no server, and what can be done. */
  sayMissing(tried: readonly string[]): void {
    const how = vscode.l10n.t("How to install it");
    const where = vscode.l10n.t("Say where it is");
    const again = vscode.l10n.t("Try again");
    const text =
      tried.length === 1
        ? vscode.l10n.t("Tenken: this is no server that starts: {0}", tried[0] ?? "")
        : vscode.l10n.t("Tenken: the server, tenken-lsp, was not found.");
    void vscode.window.showErrorMessage(text, how, where, again).then((chosen) => {
      switch (chosen) {
        case how:
          return vscode.commands.executeCommand("tenken.openWalkthrough");
        case where:
          return vscode.commands.executeCommand("workbench.action.openSettings", "tenken.serverPath");
        case again:
          return this.restart();
        default:
          return undefined;
      }
    });
  }

  private async start(): Promise<void> {
    if (!vscode.workspace.isTrusted) {
      this.bar.show({ kind: "restricted" });
      return;
    }
    this.bar.show({ kind: "starting" });
    const found = await findServer(
      surroundings(),
      (program) => probe(program, homedir()),
      () => this.python.path(vscode.workspace.workspaceFolders?.[0]?.uri),
    );
    if ("server" in found) {
      await this.startClient(found.server);
      return;
    }
    this.log.warn(`no server; tried: ${found.tried.join(", ")}`);
    this.bar.show({ kind: "missing", tried: found.tried });
    this.sayMissing(found.tried);
  }

  private async startClient(server: Server): Promise<void> {
    this.log.info(`starting ${[server.command, ...server.args].join(" ")} (${server.version})`);
    const client = makeClient(server, this.context, this.results, this.log);
    client.onNotification(STATUS, (status: Status) => {
      this.bar.show({ kind: "server", status, version: server.version });
    });
    client.onDidChangeState(({ newState }) => {
      if (this.client === client) {
        this.changed(newState);
      }
    });
    this.client = client;
    this.server = server;
    await client.start();
  }

  private changed(state: State): void {
    void vscode.commands.executeCommand("setContext", RUNNING, state === State.Running);
    if (state === State.Starting) {
      this.bar.show({ kind: "starting" });
    } else if (state === State.Stopped) {
      this.bar.show({ kind: "stopped" });
    }
  }
}

function surroundings(): Surroundings {
  const folders = vscode.workspace.workspaceFolders ?? [];
  return {
    platform: process.platform,
    home: homedir(),
    setting: vscode.workspace.getConfiguration("tenken").inspect<string>("serverPath")?.globalValue ?? "",
    folders: folders.filter(({ uri }) => uri.scheme === "file").map(({ uri }) => uri.fsPath),
    path: process.env["PATH"] ?? "",
  };
}
