import assert from "node:assert/strict";
import test from "node:test";

import { choices } from "../src/menu";
import { type Place, type Status, lookOf } from "../src/status";
import { STATES, say } from "./saying";

const STATUS: Status = {
  state: "idle",
  health: "ok",
  message: "",
  findings: 0,
  worst: null,
  engine: "",
  adapter: "",
  pendingFeedback: 0,
  retryIn: null,
  done: null,
  total: null,
};

function server(status: Partial<Status>): Place {
  return { kind: "server", status: { ...STATUS, ...status }, version: "tenken-lsp 1" };
}

test("The item is short: an icon, how many findings, and what goes on.", () => {
  const text = (place: Place) => lookOf(place, say).text;
  assert.equal(text(server({})), "$(check) Tenken");
  assert.equal(text(server({ findings: 3 })), "$(check) Tenken 3");
  assert.equal(text(server({ state: "reviewing", done: 1, total: 4 })), "$(loading~spin) Tenken: 1/4");
  assert.equal(text(server({ state: "reviewing" })), "$(loading~spin) Tenken: reviewing");
  assert.equal(
    text(server({ state: "unreachable", findings: 2 })),
    "$(debug-disconnect) Tenken 2: no answer",
  );
  assert.equal(text({ kind: "restricted" }), "$(shield) Tenken: not trusted");
  assert.equal(text({ kind: "starting" }), "$(loading~spin) Tenken: starting");
  assert.equal(text({ kind: "stopped" }), "$(error) Tenken: stopped");
});

test("The tooltip has all that is known, and nothing that is not.", () => {
  const bare = lookOf(server({}), say).tooltip;
  assert.deepEqual(bare, ["Tenken is ready.", "0 findings", "tenken-lsp 1"]);
  const all = server({
    state: "unreachable",
    health: "warning",
    message: "The engine does not answer.",
    findings: 1,
    retryIn: 7,
    pendingFeedback: 2,
    engine: "http://host:1",
    adapter: "team-1",
  });
  assert.deepEqual(lookOf(all, say).tooltip, [
    "The engine does not answer.",
    "1 finding",
    "Next attempt in 7 s",
    "Verdicts that wait for the engine: 2",
    "Engine: http://host:1",
    "Adapter: team-1",
    "tenken-lsp 1",
  ]);
  assert.equal(lookOf(all, say).health, "warning");
});

test("Without a server it says where one was looked for.", () => {
  const look = lookOf({ kind: "missing", tried: ["/a/tenken-lsp", "/b/python -P -m lsp: no module"] }, say);
  assert.equal(look.health, "error");
  assert.deepEqual(look.tooltip.slice(1), ["/a/tenken-lsp", "/b/python -P -m lsp: no module"]);
});

test("Every state of the protocol has an icon of its own, and one that is not good has words.", () => {
  for (const { state, health } of STATES) {
    const { text } = lookOf(server({ state, health }), say);
    assert.doesNotMatch(text, /question/, state);
    if (health !== "ok") {
      assert.match(text, /: \S/, state);
    }
  }
});

test("The menu offers what makes sense: stopping what runs, trusting, installing.", () => {
  const first = (place: Place) => choices(place, say)[0]?.command;
  assert.equal(first(server({ state: "reviewing" })), "tenken.stopReview");
  assert.equal(first(server({ state: "unauthorized" })), "tenken.setToken");
  assert.equal(first(server({ state: "noEngine" })), "tenken.openWalkthrough");
  assert.equal(first(server({ findings: 1 })), "tenken.showFindings");
  assert.equal(first(server({})), "tenken.reviewChanges");
  assert.equal(first({ kind: "restricted" }), "workbench.trust.manage");
  assert.equal(first({ kind: "missing", tried: [] }), "tenken.openWalkthrough");
  assert.equal(first({ kind: "stopped" }), "tenken.restart");
});
