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

test("every id that the page names has a sentence", () => {
  const named = sources("src").flatMap((path) =>
    [...readFileSync(path, "utf8").matchAll(/\bsay\("([a-z0-9-]+)"/g)].map((match) => match[1] ?? ""),
  );

  expect(named.length).toBeGreaterThan(50);
  expect(named.filter((id) => !ids.has(id))).toEqual([]);
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
