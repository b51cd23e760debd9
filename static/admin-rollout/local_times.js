// The server writes times in UTC. Here the reader's own time comes first, with UTC beside it. A date that goes without saying is left out.

const locale = navigator.languages[0] ?? "en";
const MOMENT = /^\d{1,2} [A-Z][a-z]{2} \d{4}, \d{2}:\d{2}(:\d{2}(\.\d{3})?)? UTC$/;
// What Django itself writes into a list, a form or a history, where the moment is all that a cell says.
const CELLS = "#result_list :is(td, th), #change-history :is(td, th), .readonly";
const [toMinute, toSecond] = ["short", "medium"].map((timeStyle) => ({
  time: new Intl.DateTimeFormat(locale, { timeStyle }),
  full: new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle }),
}));

/** Put the reader's own time before the UTC that stands in each <time data-local> within, and within the charts. */
export function showLocalTimes(within) {
  for (const cell of within.querySelectorAll(CELLS)) markMoment(cell);
  const now = new Date();
  for (const element of within.querySelectorAll("time[data-local]")) {
    const moment = new Date(element.dateTime);
    if (Number.isNaN(moment.getTime())) continue;
    element.dataset.utc ??= element.textContent.trim();
    element.title = element.dataset.utc;
    element.textContent = word(moment, element.dataset.utc, now);
  }
  for (const element of within.querySelectorAll("svg [data-hour]")) {
    const hour = toMinute.time.format(new Date(element.dataset.hour));
    element.textContent = element.textContent.replace(/^\d{2}:\d{2}( UTC)?/, hour);
  }
}

function word(moment, utc, now) {
  const format = /:\d{2}:\d{2}/.test(utc) ? toSecond : toMinute;
  const isToday = moment.toDateString() === now.toDateString();
  const clock = utc.replace(/^.*, /, "");
  if (moment.getTimezoneOffset() === 0) return isToday ? clock : utc;
  const isSameDate = moment.getDate() === moment.getUTCDate();
  return `${(isToday ? format.time : format.full).format(moment)} (${isSameDate ? clock : utc})`;
}

/** Turn a text that is a moment and nothing else into a <time>. */
function markMoment(cell) {
  const texts = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const utc = texts.currentNode.data.trim();
    if (!MOMENT.test(utc) || texts.currentNode.parentElement.matches("time")) continue;
    const time = document.createElement("time");
    time.dateTime = new Date(utc.replace(",", "")).toISOString();
    time.dataset.local = "";
    time.textContent = utc;
    texts.currentNode.replaceWith(time);
    return;
  }
}

showLocalTimes(document);
