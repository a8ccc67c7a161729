// The status bar item.

import * as vscode from "vscode";

import { type Place, lookOf } from "./status";

const COLOURS = {
  ok: undefined,
  warning: new vscode.ThemeColor("statusBarItem.warningBackground"),
  error: new vscode.ThemeColor("statusBarItem.errorBackground"),
};

/** Shows where things stand; a click opens the menu. */
export class Bar implements vscode.Disposable {
  private readonly item = vscode.window.createStatusBarItem("tenken", vscode.StatusBarAlignment.Left);
  private shown: Place = { kind: "starting" };

  constructor() {
    this.item.name = "Tenken";
    this.item.command = "tenken.menu";
    this.show(this.shown);
    this.item.show();
  }

  /** Where things stand. */
  get place(): Place {
    return this.shown;
  }

  show(place: Place): void {
    this.shown = place;
    const look = lookOf(place, vscode.l10n.t);
    this.item.text = look.text;
    this.item.tooltip = look.tooltip.join("\n");
    this.item.backgroundColor = COLOURS[look.health];
    this.item.accessibilityInformation = { label: look.tooltip[0] ? `Tenken: ${look.tooltip[0]}` : "Tenken" };
  }

  dispose(): void {
    this.item.dispose();
  }
}
