// Run inside the window's page. Times what its owner does, each from the deed to the frame after the one that shows it.
const finish = arguments[arguments.length - 1];

const named = (name) => document.querySelector(`[data-testid="${name}"]`);
const frame = () => new Promise((drawn) => requestAnimationFrame(() => setTimeout(drawn)));
async function timed(deed, shows) {
  const begun = performance.now();
  deed();
  do await frame();
  while (!shows());
  return (performance.now() - begun) / 1000;
}

const table = () => named("earned-job")?.closest('[role="table"]');
/** What scrolls: the part beside the rail, or the page. */
function scroller() {
  let part = table();
  while (part && !(/auto|scroll/.test(getComputedStyle(part).overflowY) && part.scrollHeight > part.clientHeight)) {
    part = part.parentElement;
  }
  return part ?? document.scrollingElement;
}
/** Rows all over the part of the list that is on the screen. */
function filled() {
  const list = table().querySelector('[role="rowgroup"]').getBoundingClientRect();
  const [top, bottom] = [Math.max(list.top, 0) + 4, Math.min(list.bottom, innerHeight) - 4];
  const at = (y) => document.elementsFromPoint(list.left + list.width / 2, y);
  const row = (y) => at(y).some((part) => part.dataset?.testid === "earned-job");
  return top >= bottom || [top, (top + bottom) / 2, bottom].every(row);
}
const all = () => table().getAttribute("aria-rowcount") !== "-1";
const height = () => table().querySelector('[role="rowgroup"]').getBoundingClientRect().height;

(async () => {
  const seen = { entered: [], read_on: [], jumped: [], rows: 0 };
  for (let turn = 0; turn < ENTERED; turn++) {
    await timed(() => named("nav-home").click(), () => !named("earnings"));
    seen.entered.push(await timed(() => named("nav-earnings").click(), () => table() && filled()));
  }
  const part = scroller();
  while (!all()) {
    const before = height();
    const toEnd = () => (part.scrollTop = part.scrollHeight);
    seen.read_on.push(await timed(toEnd, () => filled() && (height() > before || all())));
  }
  // Places all over, in an order that jumps far each time.
  for (let turn = 1; turn <= JUMPS; turn++) {
    const place = ((turn * 61.8) % 100) / 100;
    seen.jumped.push(await timed(() => (part.scrollTop = place * part.scrollHeight), filled));
  }
  seen.rows = Number(table().getAttribute("aria-rowcount")) - 1;
  finish(seen);
})().catch((error) => finish({ error: String(error) }));
