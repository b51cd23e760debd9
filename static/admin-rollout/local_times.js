// The server writes times in UTC. Here the reader's own time comes first, to the second, with UTC beside it.

const locale = navigator.languages[0] ?? "en";
const local = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "medium" });

/** Put the reader's own time before the UTC that stands in each <time data-local> within. */
export function showLocalTimes(within) {
  for (const element of within.querySelectorAll("time[data-local]")) {
    const moment = new Date(element.dateTime);
    if (Number.isNaN(moment.getTime()) || moment.getTimezoneOffset() === 0) continue;
    element.dataset.utc ??= element.textContent.trim();
    element.textContent = `${local.format(moment)} (${element.dataset.utc})`;
  }
}

showLocalTimes(document);
