// What a click on the status bar item offers. Pure.

import type { Place } from "./status";
import type { Say } from "./texts";

/** An entry: its text with an icon, and the command it runs. */
export interface Choice {
  readonly label: string;
  readonly command: string;
}

/** Return what makes sense where things stand, the most useful first. */
export function choices(place: Place, say: Say): Choice[] {
  const install = { label: `$(book) ${say("How to install the server")}`, command: "tenken.openWalkthrough" };
  const restart = { label: `$(debug-restart) ${say("Start the server again")}`, command: "tenken.restart" };
  const settings = { label: `$(settings-gear) ${say("Settings")}`, command: "tenken.openSettings" };
  const log = { label: `$(output) ${say("Log")}`, command: "tenken.showLog" };
  switch (place.kind) {
    case "starting":
      return [log];
    case "restricted":
      return [{ label: `$(shield) ${say("Trust this folder")}`, command: "workbench.trust.manage" }];
    case "missing":
      return [install, restart, settings, log];
    case "stopped":
      return [restart, log, settings];
    case "server":
      return [...ofServer(place.status.state, place.status.findings, say), settings, log, restart];
  }
}

function* ofServer(state: string, findings: number, say: Say): Generator<Choice> {
  if (state === "reviewing" || state === "loading") {
    yield { label: `$(debug-stop) ${say("Stop the review")}`, command: "tenken.stopReview" };
  }
  if (state === "unauthorized") {
    yield { label: `$(key) ${say("Set a token")}`, command: "tenken.setToken" };
  }
  if (state === "noEngine") {
    yield { label: `$(book) ${say("How to get an engine")}`, command: "tenken.openWalkthrough" };
  }
  if (findings > 0) {
    yield { label: `$(list-unordered) ${say("Show all findings")}`, command: "tenken.showFindings" };
  }
  yield { label: `$(play) ${say("Review what changed")}`, command: "tenken.reviewChanges" };
  yield { label: `$(git-branch) ${say("Review the whole branch")}`, command: "tenken.reviewWholeBranch" };
  yield { label: `$(info) ${say("Status, and what was left out")}`, command: "tenken.status" };
}
