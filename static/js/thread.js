// New messages appear by themselves, and sending keeps the place and the text. Without this module it is a plain form.

import { fetchPart, post } from "./api.js";
import { prepareCompose } from "./compose.js";
import { startPolling } from "./polling.js";
import { localiseTimes } from "./times.js";

const list = document.querySelector("[data-thread]");
const form = document.querySelector("[data-compose]");
const { api, latest } = list.dataset;
const known = new Map([...list.querySelectorAll("[data-id]")].map((element) => [element.dataset.id, element]));
const arrived = document.querySelector("[data-arrived]");
let etag = null;

/** Ask the server for the latest messages as it shows them, and put in what is not here yet. */
async function poll() {
  const answer = await fetchPart(latest, etag);
  // Signed out meanwhile, or no longer in this conversation: asking again would not help.
  if (answer.isSignedOut || answer.status === 404) return end(answer.isSignedOut);
  if (!answer.ok) return answer.status === 304 ? "same" : "failed";
  etag = answer.etag;
  const fresh = [...answer.page.querySelectorAll("[data-id]")];
  // So much was said since the last poll that what lies between is on an earlier page.
  const isOneOfThese = (element) => known.has(element.dataset.id);
  const hasGap = [...known.values()].some((element) => !isPending(element)) && !fresh.some(isOneOfThese);
  if (hasGap && fresh.length > 0) {
    location.reload();
    return "over";
  }
  const atEnd = isAtEnd();
  const arrivals = fresh.filter((element) => !isOneOfThese(element));
  putIn(fresh);
  const firstNew = arrivals.find((element) => !element.classList.contains("mine"));
  if (firstNew) post(`${api}/read`);
  if (arrivals.length > 0 && atEnd) list.lastElementChild.scrollIntoView({ block: "nearest" });
  else if (firstNew) tellOfNew(firstNew);
  return arrivals.length > 0 ? "changed" : "same";
}

function putIn(fresh) {
  // One that was stored late may stand before all that is here.
  const firstKnown =
    fresh.map((element) => known.get(element.dataset.id)).find(Boolean) ?? list.querySelector(".pending");
  let previous = null;
  for (const element of fresh) {
    const present = known.get(element.dataset.id);
    if (!present) {
      const added = document.adoptNode(element);
      known.set(added.dataset.id, added);
      localiseTimes(added);
      if (previous) previous.after(added);
      else list.insertBefore(added, firstKnown);
    } else if (isPending(present)) {
      composing.settle(present.dataset.id, element.querySelector("time"));
    }
    previous = present ?? element;
  }
  if (known.size > 0) document.querySelector("[data-empty]")?.remove();
}

function isPending(element) {
  return element.classList.contains("pending");
}

/** Somebody who reads further up learns that there is more below, and stays where they are. */
function tellOfNew(element) {
  if (!arrived.hidden) return;
  arrived.hidden = false;
  arrived.querySelector("button").onclick = () => {
    arrived.hidden = true;
    element.scrollIntoView({ block: "center" });
  };
}

function end(isSignedOut) {
  const told = document.querySelector(isSignedOut ? "[data-signed-out]" : "[data-over]");
  told.hidden = false;
  told.scrollIntoView({ block: "nearest" });
  return "over";
}

function isAtEnd() {
  const last = list.lastElementChild;
  return !last || last.getBoundingClientRect().bottom <= innerHeight;
}

const polling = startPolling(poll);
const composing = form ? prepareCompose({ form, list, known, api, polling, onSignedOut: () => end(true) }) : null;
// Unless the address or an answer leads elsewhere.
if (!document.querySelector(":target, [autofocus]")) document.getElementById("latest").scrollIntoView();
addEventListener(
  "scroll",
  () => {
    if (isAtEnd()) arrived.hidden = true;
  },
  { passive: true },
);
