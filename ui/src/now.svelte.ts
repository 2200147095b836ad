/** The time of day, every five seconds while the window can be seen. */
export const now = $state({ ms: Date.now() });

const tick = () => {
  if (!document.hidden) now.ms = Date.now();
};
setInterval(tick, 5000);
document.addEventListener("visibilitychange", tick);
