// What the status bar says of the server. Pure: values in, texts out.

import type { Say } from "./texts";

/** The notification `tenken/status`; see PROTOCOL.md. */
export interface Status {
  readonly state: string;
  readonly health: "ok" | "warning" | "error";
  readonly message: string;
  readonly findings: number;
  readonly worst: string | null;
  readonly engine: string;
  readonly adapter: string;
  readonly pendingFeedback: number;
  readonly retryIn: number | null;
  readonly done: number | null;
  readonly total: number | null;
}

/** What the extension knows before, and without, a server. */
export type Place =
  | { readonly kind: "starting" }
  | { readonly kind: "restricted" }
  | { readonly kind: "missing"; readonly tried: readonly string[] }
  | { readonly kind: "stopped" }
  | { readonly kind: "server"; readonly status: Status; readonly version: string };

/** What the item shows. `tooltip` has a line for each fact. */
export interface Look {
  readonly text: string;
  readonly tooltip: readonly string[];
  readonly health: "ok" | "warning" | "error";
}

const ICONS: Readonly<Record<string, string>> = {
  starting: "loading~spin",
  idle: "check",
  reviewing: "loading~spin",
  loading: "loading~spin",
  queued: "clock",
  unreachable: "debug-disconnect",
  unauthorized: "key",
  failed: "error",
  noEngine: "error",
  misconfigured: "error",
  excluded: "circle-slash",
  off: "circle-slash",
};

/** Return what the item shows of where things stand. */
export function lookOf(place: Place, say: Say): Look {
  switch (place.kind) {
    case "starting":
      return {
        text: `$(loading~spin) Tenken: ${say("starting")}`,
        tooltip: [say("Tenken is starting.")],
        health: "ok",
      };
    case "restricted":
      return {
        text: `$(shield) Tenken: ${say("not trusted")}`,
        tooltip: [
          say("Nothing runs in a folder that is not trusted. Trust it to have its changes reviewed."),
        ],
        health: "ok",
      };
    case "missing":
      return {
        text: `$(error) Tenken: ${say("no server")}`,
        tooltip: [say("The server, tenken-lsp, was not found."), ...place.tried],
        health: "error",
      };
    case "stopped":
      return {
        text: `$(error) Tenken: ${say("stopped")}`,
        tooltip: [say("The server ended. Its log says why.")],
        health: "error",
      };
    case "server":
      return ofServer(place.status, place.version, say);
  }
}

function ofServer(status: Status, version: string, say: Say): Look {
  const short = shortText(status, say);
  const count = status.findings > 0 ? ` ${status.findings}` : "";
  return {
    text: `$(${ICONS[status.state] ?? "question"}) Tenken${count}${short ? `: ${short}` : ""}`,
    tooltip: [...facts(status, say), version],
    health: status.health,
  };
}

function shortText(status: Status, say: Say): string {
  switch (status.state) {
    case "starting":
      return say("starting");
    case "reviewing":
      return status.total === null ? say("reviewing") : `${status.done ?? 0}/${status.total}`;
    case "loading":
      return say("loading the model");
    case "queued":
      return say("waiting");
    case "unreachable":
      return say("no answer");
    case "unauthorized":
      return say("wrong token");
    case "failed":
      return say("failed");
    case "noEngine":
      return say("no engine");
    case "misconfigured":
      return say("wrong setting");
    case "off":
      return say("off");
    default:
      return "";
  }
}

function* facts(status: Status, say: Say): Generator<string> {
  yield status.message || say("Tenken is ready.");
  yield status.findings === 1 ? say("1 finding") : say("{0} findings", status.findings);
  if (status.retryIn !== null) {
    yield say("Next attempt in {0} s", status.retryIn);
  }
  if (status.pendingFeedback > 0) {
    yield say("Verdicts that wait for the engine: {0}", status.pendingFeedback);
  }
  if (status.engine) {
    yield say("Engine: {0}", status.engine);
  }
  if (status.adapter) {
    yield say("Adapter: {0}", status.adapter);
  }
}
