import { expect, test } from "vitest";

import examples from "../../locales/examples.json";
import { between, clock, duration, gigabytes, money, sum } from "../src/figures";

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

test("amounts are added exactly, however many and however small", () => {
  expect(sum([])).toBe("0.000000");
  expect(sum(Array.from({ length: 10 }, () => "0.100000"))).toBe("1.000000");
  expect(sum(["9007199254740993.000001", "0.000001"])).toBe("9007199254740993.000002");
  expect(sum(["0.5", "-0.750000", "1"])).toBe("0.750000");
  expect(sum(["-0.000001"])).toBe("-0.000001");
});

test("a time from one to another has each date once", () => {
  const at = (day: number, hour: number, minute: number) => new Date(2026, 10, day, hour, minute).getTime();
  const now = at(26, 15, 0);

  expect(between(at(26, 8, 30), at(26, 13, 55), now)).toBe("08:30 – 13:55");
  expect(between(at(24, 8, 30), at(24, 13, 55), now)).toBe("Nov 24, 08:30 – 13:55");
  expect(between(at(25, 23, 10), at(26, 2, 40), now)).toBe("Nov 25, 23:10 – 02:40");
  expect(between(at(23, 23, 10), at(24, 2, 40), now)).toBe("Nov 23, 23:10 – Nov 24, 02:40");
});
