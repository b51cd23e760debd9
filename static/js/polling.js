// Asking the server again and again while somebody looks: every 3 seconds, slower the quieter it is, and slower after errors.

const SHORTEST_MS = 3_000;
const LONGEST_MS = 30_000;
const LONGEST_AFTER_ERRORS_MS = 60_000;
const SHARE_OF_QUIET = 0.1;

/**
 * Begin to ask. `ask` returns a promise of "changed", "same", "failed" or "over"; after "over" nothing is asked any more.
 * `now()` asks at once, or joins the question under way; `isBusy()` says that something has happened here.
 */
export function startPolling(ask) {
  let lively = Date.now();
  let failures = 0;
  let isOver = false;
  let timer = null;
  let asking = null;

  function pause() {
    const quiet = Math.max(SHORTEST_MS, Math.min(LONGEST_MS, (Date.now() - lively) * SHARE_OF_QUIET));
    return failures ? Math.min(LONGEST_AFTER_ERRORS_MS, quiet * 2 ** failures) : quiet;
  }

  function plan() {
    clearTimeout(timer);
    if (!isOver && !document.hidden) timer = setTimeout(now, pause());
  }

  async function askOnce() {
    const outcome = await ask();
    failures = outcome === "failed" ? failures + 1 : 0;
    if (outcome === "changed") lively = Date.now();
    if (outcome === "over") isOver = true;
    asking = null;
    plan();
  }

  function now() {
    if (isOver) return Promise.resolve();
    asking ??= askOnce();
    return asking;
  }

  function isBusy() {
    lively = Date.now();
    plan();
  }

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return clearTimeout(timer);
    lively = Date.now();
    now();
  });
  addEventListener("online", now);
  plan();
  return { now, isBusy };
}
