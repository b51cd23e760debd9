// Times come from the server in UTC, readable as they are. Here they become the reader's own, by their time zone and calendar.

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const DAYS_IN_WORDS = 7;

const language = document.documentElement.lang;
const locale = navigator.languages.find((each) => each.startsWith(language)) ?? language;
const full = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short" });
const date = new Intl.DateTimeFormat(locale, { dateStyle: "medium" });
const relative = new Intl.RelativeTimeFormat(locale, { numeric: "auto" });

// The device's clock may be wrong, so the page says when the server made it. Only the time since then is the device's.
const rendered = new Date(document.querySelector("meta[name=rendered-at]")?.content ?? NaN).getTime();
const behind = Number.isNaN(rendered) ? 0 : rendered - Date.now();

/** How long ago a moment was, in the words of the reader's calendar: "yesterday" is the day before today. */
export function age(moment, now) {
  const passed = now - moment;
  if (passed < MINUTE) return "just now";
  if (passed < HOUR) return relative.format(-Math.floor(passed / MINUTE), "minute");
  const days = dayNumber(now) - dayNumber(moment);
  if (days <= 0) return relative.format(-Math.floor(passed / HOUR), "hour");
  return days < DAYS_IN_WORDS ? relative.format(-days, "day") : date.format(moment);
}

/** Count calendar days, which are not always 24 hours long where the reader lives. */
function dayNumber(moment) {
  return Date.UTC(moment.getFullYear(), moment.getMonth(), moment.getDate()) / DAY;
}

export function localiseTimes(within) {
  const now = new Date(Date.now() + behind);
  for (const element of within.querySelectorAll("time[data-format]")) {
    const moment = new Date(element.dateTime);
    if (Number.isNaN(moment.getTime())) continue;
    if (element.dataset.format === "age") {
      show(element, age(moment, now));
      element.title = full.format(moment);
    } else {
      show(element, full.format(moment));
    }
  }
}

function show(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

localiseTimes(document);
// A page that stays open grows older.
setInterval(() => localiseTimes(document), MINUTE);
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) localiseTimes(document);
});
