// What tests share: texts as the user's language has them, and the protocol's own words.

import { readFileSync } from "node:fs";

import type { Say } from "../src/texts";

/** English, with the blanks filled in. */
export const say: Say = (text, ...values) =>
  text.replace(/\{(\d)\}/g, (_, at: string) => String(values[Number(at)]));

const PROTOCOL = readFileSync("../../PROTOCOL.md", "utf8");

/** The states of PROTOCOL.md with how they are coloured. */
export const STATES = rows("| `state` | health | when |").map(([state, health]) => ({
  state: state ?? "",
  health: health as "ok" | "warning" | "error",
}));

/** The commands of PROTOCOL.md. */
export const COMMANDS = rows("| command | argument | does | result |").map(([name]) => name ?? "");

/** The settings of PROTOCOL.md. */
export const SETTINGS = rows("| key | type | default | meaning |").map(([key]) => key ?? "");

/** Keys that PROTOCOL.md has clients take from the user alone. */
export const USER_ONLY = [...(userOnly() ?? "").matchAll(/`(\w+)`/g)].map(([, key]) => key);

function userOnly(): string | undefined {
  const ending = "decide where code";
  return PROTOCOL.split("\n\n")
    .map((paragraph) => paragraph.replaceAll("\n", " "))
    .find((paragraph) => paragraph.includes(ending))
    ?.split(ending, 1)[0];
}

/** Return the rows of a table by its head, without backquotes. */
function rows(head: string): string[][] {
  const start = PROTOCOL.indexOf(head);
  const body = PROTOCOL.slice(start).split("\n\n", 1)[0] ?? "";
  return body
    .split("\n")
    .slice(2)
    .map((line) =>
      line
        .split("|")
        .map((cell) => cell.trim().replaceAll("`", ""))
        .slice(1, -1),
    );
}
