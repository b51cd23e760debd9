// The list of conversations changes by itself while it is open. Without this module, on reload.

import { fetchPart } from "./api.js";
import { startPolling } from "./polling.js";
import { localiseTimes } from "./times.js";
import { showUnread } from "./unread.js";

const region = document.querySelector("[data-inbox]");
const announcement = document.querySelector("[data-announce]");
let etag = null;

async function look() {
  const answer = await fetchPart(region.dataset.inbox, etag);
  if (answer.isSignedOut) return "over";
  if (!answer.ok) return answer.status === 304 ? "same" : "failed";
  // Somebody is about to choose: the menu that they have opened stays. The next look shows the list.
  if (region.querySelector("details[open]")) return "same";
  etag = answer.etag;
  const fresh = answer.page.querySelector("[data-conversations]");
  const news = newsIn(fresh);
  put(fresh);
  showUnread(Number(fresh.dataset.number));
  // Politely, and each once: who has written.
  if (news.length > 0) announcement.textContent = `New from ${[...new Set(news)].join(", ")}.`;
  return "changed";
}

function cards(within) {
  return new Map([...within.querySelectorAll("[data-key]")].map((card) => [card.dataset.key, card]));
}

function newsIn(fresh) {
  const before = cards(region);
  return [...cards(fresh)]
    .filter(([key, card]) => Number(card.dataset.unread) > Number(before.get(key)?.dataset.unread ?? 0))
    .map(([, card]) => card.dataset.from);
}

/** Put the new list in the place of the old, and keep the focus on the same link or button of the same conversation. */
function put(fresh) {
  const focused = region.contains(document.activeElement) ? document.activeElement : null;
  const key = focused?.closest("[data-key]")?.dataset.key;
  const place = key ? focusable(cards(region).get(key)).indexOf(focused) : -1;
  const list = document.adoptNode(fresh);
  localiseTimes(list);
  region.replaceChildren(list);
  const card = cards(region).get(key);
  if (card) focusable(card)[place]?.focus({ preventScroll: true });
}

function focusable(card) {
  return [...card.querySelectorAll("a, button, summary")];
}

if (region.dataset.inbox) startPolling(look);
