// Where the owner's days, weeks and months meet, by this PC's time zone. A day has 23, 24 or 25 hours, or any other number: so
// no moment is reckoned from another, each is asked of the calendar.

export type Span = "day" | "week" | "month";

/** How many periods of each span are shown. */
export const COUNT: Record<Span, number> = { day: 30, week: 12, month: 12 };

/** Days of the week as `Date` counts them. */
export const MONDAY = 1;

/**
 * Rising moments: period `i` is from moment `i` to moment `i + 1`, the last one holds `now`. One fewer where the calendar left a
 * day out.
 */
export function boundaries(span: Span, now: number, firstDay: number = MONDAY): number[] {
  const today = new Date(now);
  const [year, month, day] = [today.getFullYear(), today.getMonth(), today.getDate()];
  const sinceWeekBegan = (today.getDay() - firstDay + 7) % 7;
  const begin = (ago: number): number => {
    switch (span) {
      case "day":
        return midnight(year, month, day - ago);
      case "week":
        return midnight(year, month, day - sinceWeekBegan - 7 * ago);
      case "month":
        return midnight(year, month - ago, 1);
    }
  };
  const found: number[] = [];
  for (let ago = COUNT[span] - 1; ago >= -1; ago--) {
    const moment = begin(ago);
    const last = found.at(-1);
    if (last === undefined || moment > last) found.push(moment);
  }
  return found;
}

/** The first moment of a day. Where clocks jump over midnight, `Date` gives the moment of the jump; where it comes twice, the first. */
function midnight(year: number, month: number, day: number): number {
  return new Date(year, month, day).getTime();
}

/** The day that weeks begin with where the owner lives, as `Date` counts them; Monday where that is not told. */
export function firstDayOf(language: string): number {
  type Told = { getWeekInfo?: () => { firstDay: number }; weekInfo?: { firstDay: number } };
  try {
    const locale = new Intl.Locale(language) as Told;
    const told = locale.getWeekInfo?.() ?? locale.weekInfo;
    return told ? told.firstDay % 7 : MONDAY;
  } catch {
    return MONDAY;
  }
}
