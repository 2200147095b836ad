import { expect, test } from "vitest";

import examples from "../../locales/examples.json";
import { clock, duration, gigabytes, money } from "../src/figures";

test.each(examples.money)("the amount $amount is written $shown", ({ amount, shown }) => {
  expect(money(amount)).toBe(shown);
});

test.each(examples.duration)("$ms ms are written $shown", ({ ms, shown }) => {
  expect(duration(ms)).toBe(shown);
});

test("a time of another day has its date", () => {
  const now = new Date(2026, 10, 23, 20, 0).getTime();

  expect(clock(new Date(2026, 10, 23, 22, 5).getTime(), now)).toBe("22:05");
  expect(clock(new Date(2026, 10, 24, 1, 0).getTime(), now)).toBe("2026-11-24 01:00");
});

test("sizes have one decimal where it says something", () => {
  expect(gigabytes(24 * 2 ** 30)).toBe("24");
  expect(gigabytes(7.84 * 2 ** 30)).toBe("7.8");
  expect(gigabytes(931.5 * 2 ** 30)).toBe("932");
});
