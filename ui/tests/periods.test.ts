import { afterEach, expect, test } from "vitest";

import { boundaries, COUNT, firstDayOf, type Span } from "../src/periods";

const own = process.env.TZ;
afterEach(() => {
  if (own === undefined) delete process.env.TZ;
  else process.env.TZ = own;
});

const HOUR = 3_600_000;
const lives = (zone: string) => void (process.env.TZ = zone);
const at = (text: string) => new Date(text).getTime();
const hours = (moments: number[]) =>
  moments.slice(1).map((moment, i) => (moment - (moments[i] ?? moment)) / HOUR);
const iso = (moments: number[]) => moments.map((moment) => new Date(moment).toISOString());

const SPANS: Span[] = ["day", "week", "month"];
const ZONES = [
  "UTC",
  "Europe/Berlin",
  "America/New_York",
  "America/Sao_Paulo",
  "America/St_Johns",
  "America/Havana",
  "Asia/Kathmandu",
  "Asia/Beirut",
  "Africa/Casablanca",
  "Australia/Lord_Howe",
  "Pacific/Apia",
  "Pacific/Chatham",
];

test.each(ZONES)(
  "in %s periods meet, none is empty, and the last one holds now, throughout years",
  (zone) => {
    lives(zone);
    const wrong: string[] = [];
    for (const year of [2010, 2011, 2018, 2026, 2028]) {
      for (let now = Date.UTC(year, 0, 1, 0, 30); now < Date.UTC(year + 1, 0, 1); now += 17 * HOUR) {
        for (const span of SPANS) {
          const moments = boundaries(span, now);
          const rising = moments.every((moment, i) => i === 0 || moment > (moments[i - 1] ?? moment));
          const holds = (moments.at(-1) ?? 0) > now && (moments.at(-2) ?? now + 1) <= now;
          const counted = COUNT[span] + 1 - moments.length <= 1;
          if (!rising || !holds || !counted) wrong.push(`${span} ${new Date(now).toISOString()}`);
        }
      }
    }

    expect(wrong).toEqual([]);
  },
);

test("the day on which clocks go forward has 23 hours, and nothing else has", () => {
  lives("Europe/Berlin");

  const long = hours(boundaries("day", at("2026-04-10T12:00:00Z")));

  expect(long.filter((one) => one !== 24)).toEqual([23]);
  expect(iso(boundaries("day", at("2026-03-29T12:00:00Z")).slice(-2))).toEqual([
    "2026-03-28T23:00:00.000Z",
    "2026-03-29T22:00:00.000Z",
  ]);
});

test("the day on which clocks go back has 25 hours", () => {
  lives("America/New_York");

  expect(iso(boundaries("day", at("2026-11-01T12:00:00Z")).slice(-2))).toEqual([
    "2026-11-01T04:00:00.000Z",
    "2026-11-02T05:00:00.000Z",
  ]);
});

test("half an hour of daylight saving is half an hour", () => {
  lives("Australia/Lord_Howe");

  expect(hours(boundaries("day", at("2026-04-20T00:00:00Z"))).filter((one) => one !== 24)).toEqual([24.5]);
  expect(hours(boundaries("day", at("2026-10-20T00:00:00Z"))).filter((one) => one !== 24)).toEqual([23.5]);
});

test("a day whose midnight is jumped over begins with the jump", () => {
  lives("America/Sao_Paulo");

  const moments = boundaries("day", at("2018-11-04T15:00:00Z")).slice(-2);

  expect(iso(moments)).toEqual(["2018-11-04T03:00:00.000Z", "2018-11-05T02:00:00.000Z"]);
  expect(new Date(moments[0] ?? 0).getHours()).toBe(1);
});

test("a day whose midnight comes twice begins with the first", () => {
  lives("America/Havana");

  expect(iso(boundaries("day", at("2026-11-01T15:00:00Z")).slice(-2))).toEqual([
    "2026-11-01T04:00:00.000Z",
    "2026-11-02T05:00:00.000Z",
  ]);
});

test("a day that a country left out is no period", () => {
  lives("Pacific/Apia");

  const moments = boundaries("day", at("2012-01-05T00:00:00Z"));

  expect(moments.length).toBe(COUNT.day);
  expect(hours(moments).every((one) => one === 24)).toBe(true);
});

test("a week with a change of clocks has an hour less or more", () => {
  lives("Europe/Berlin");

  expect(hours(boundaries("week", at("2026-04-10T12:00:00Z"))).filter((one) => one !== 168)).toEqual([167]);
  expect(hours(boundaries("week", at("2026-11-05T12:00:00Z"))).filter((one) => one !== 168)).toEqual([169]);
});

test.each([
  ["de-DE", 1],
  ["en-US", 0],
  ["ar-EG", 6],
  ["not a language!", 1],
])("weeks of %s begin with day %i", (language, day) => {
  lives("UTC");

  expect(firstDayOf(language)).toBe(day);
  const begins = boundaries("week", at("2026-11-26T09:00:00Z"), day).map((moment) =>
    new Date(moment).getDay(),
  );
  expect(new Set(begins)).toEqual(new Set([day]));
});

test("months begin with their first day, also seen from the 31st and over the turn of the year", () => {
  lives("UTC");

  const moments = iso(boundaries("month", at("2027-01-31T23:59:59Z")));

  expect(moments.length).toBe(13);
  expect(moments.every((moment) => moment.endsWith("-01T00:00:00.000Z"))).toBe(true);
  expect(moments[0]).toBe("2026-02-01T00:00:00.000Z");
  expect(moments.at(-1)).toBe("2027-02-01T00:00:00.000Z");
});

test("a leap day is a day, and its month has 29", () => {
  lives("Europe/Berlin");

  const days = iso(boundaries("day", at("2028-03-01T12:00:00Z")));
  const months = hours(boundaries("month", at("2028-03-15T12:00:00Z")));

  expect(days).toContain("2028-02-28T23:00:00.000Z");
  expect(months.at(-2)).toBe(29 * 24);
});

test("at the last millisecond of a day it is that day, and at midnight the next", () => {
  lives("Asia/Kathmandu");
  const midnight = at("2026-11-26T18:15:00Z");

  expect(boundaries("day", midnight - 1).at(-1)).toBe(midnight);
  expect(boundaries("day", midnight).at(-2)).toBe(midnight);
});
