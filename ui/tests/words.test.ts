import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";

import { FluentParser, Junk, Message } from "@fluent/syntax";
import { expect, test } from "vitest";

import english from "../../locales/en.ftl?raw";
import { say } from "../src/words";

const parsed = new FluentParser({ withSpans: false }).parse(english);
const ids = new Set(parsed.body.filter((entry) => entry instanceof Message).map((entry) => entry.id.name));

function sources(folder: string): string[] {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    return statSync(path).isDirectory() ? sources(path) : [path];
  });
}

test("the English file has no errors and no id twice", () => {
  const messages = parsed.body.filter((entry) => entry instanceof Message);

  expect(parsed.body.filter((entry) => entry instanceof Junk)).toEqual([]);
  expect(messages.length).toBe(ids.size);
});

/** Ids as they stand in calls, and the beginnings of those that are put together. */
function named(): { whole: string[]; begun: string[] } {
  const calls = sources("src").flatMap((path) => {
    const source = readFileSync(path, "utf8");
    return [...source.matchAll(/\bsay\(([^;{]*?(?:\$\{[^}]*\}[^;{]*?)*)\)/g)].map((match) => match[1] ?? "");
  });
  const written = calls.flatMap((call) =>
    [...call.matchAll(/"([a-z]+(?:-[a-z0-9]+)*)"/g)].map((match) => match[1] ?? ""),
  );
  const begun = calls.flatMap((call) =>
    [...call.matchAll(/`([a-z-]+-)\$\{/g)].map((match) => match[1] ?? ""),
  );
  return { whole: written, begun };
}

test("every id that the page names has a sentence", () => {
  const { whole, begun } = named();
  // Values that choose between two ids stand in the same calls.
  const values = ["keyring", "file", "paused", "device_code", "out", "month", "unknown"];

  expect(whole.length).toBeGreaterThan(100);
  expect(whole.filter((id) => !ids.has(id) && !values.includes(id))).toEqual([]);
  expect(begun.filter((start) => ![...ids].some((id) => id.startsWith(start)))).toEqual([]);
});

test("no sentence of the places is left over", () => {
  const source = sources("src")
    .map((path) => readFileSync(path, "utf8"))
    .join();
  const { begun } = named();

  const left = [...ids].filter(
    (id) =>
      /^(earnings|nav|gpu|safety|sight|live|share)-/.test(id) &&
      !source.includes(`"${id}"`) &&
      !begun.some((start) => id.startsWith(start)),
  );

  expect(left).toEqual([]);
});

test("no part of the page has a sentence of its own", () => {
  const loose = sources("src")
    .filter((path) => path.endsWith(".svelte"))
    .filter((path) => {
      const markup = readFileSync(path, "utf8").replace(/<(script|style)[\s\S]*?<\/\1>|<!--[\s\S]*?-->/g, "");
      return /(?<![=-])>\s*[A-Z][a-z]+ [a-z]+/.test(markup);
    });

  expect(loose).toEqual([]);
});

test("a number chooses the plural", () => {
  expect(say("pc-logs-waiting", { count: 1 })).toBe("1 file waits to be sent");
  expect(say("pc-logs-waiting", { count: "3" })).toBe("3 files wait to be sent");
});
