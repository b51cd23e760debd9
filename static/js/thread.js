// New messages appear by themselves, and sending keeps the place and the text. Without this module it is a plain form.

import { call, fetchPart, mayPass, sentence } from "./api.js";
import { localiseTimes } from "./times.js";

const POLL_MS = 5000;
const list = document.querySelector("[data-thread]");
const compose = document.querySelector("[data-compose]");
const { api, latest } = list.dataset;
const known = new Map([...list.querySelectorAll("[data-id]")].map((element) => [element.dataset.id, element]));
const sentNotice = document.querySelector("[data-sent]");
const arrived = document.querySelector("[data-arrived]");
// What was typed waits here for the next visit: to an offer while this conversation already stood, or before signing in again.
const draft = `draft:${api.split("/").at(-1)}`;
const token = document.querySelector("[name=csrfmiddlewaretoken]")?.value;
let etag = null;
let polling = null;
let isOver = false;
let timer = null;

/** Ask the server for the latest messages as it shows them, and put in what is not here yet. */
async function poll() {
  const answer = await fetchPart(latest, etag);
  // Signed out meanwhile, or no longer in this conversation: asking again would not help.
  if (answer.isSignedOut || answer.status === 404) stopPolling(answer.isSignedOut);
  if (!answer.ok) return;
  etag = answer.etag;
  const fresh = [...answer.page.querySelectorAll("[data-id]")];
  // So much was said since the last poll that what lies between is on an earlier page.
  const hasGap = known.size > 0 && fresh.length > 0 && !fresh.some((element) => known.has(element.dataset.id));
  if (hasGap) return reload();
  const atEnd = isAtEnd();
  const arrivals = fresh.filter((element) => !known.has(element.dataset.id));
  putIn(fresh);
  sentNotice.hidden = true;
  const firstNew = arrivals.find((element) => !element.classList.contains("mine"));
  if (firstNew) call(`${api}/read`, { method: "POST", token });
  if (arrivals.length > 0 && atEnd) list.lastElementChild.scrollIntoView({ block: "nearest" });
  else if (firstNew) tellOfNew(firstNew);
}

function putIn(fresh) {
  // One that was stored late may stand before all that is here.
  const firstKnown = fresh.map((element) => known.get(element.dataset.id)).find(Boolean) ?? null;
  let previous = null;
  for (const element of fresh) {
    const present = known.get(element.dataset.id);
    if (!present) {
      const added = document.adoptNode(element);
      known.set(added.dataset.id, added);
      localiseTimes(added);
      if (previous) previous.after(added);
      else list.insertBefore(added, firstKnown);
    }
    previous = present ?? element;
  }
  if (known.size > 0) document.querySelector("[data-empty]")?.remove();
}

function reload() {
  keepDraft();
  location.reload();
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

function stopPolling(isSignedOut) {
  clearInterval(timer);
  isOver = true;
  const told = document.querySelector(isSignedOut ? "[data-signed-out]" : "[data-over]");
  told.hidden = false;
  told.scrollIntoView({ block: "nearest" });
  addEventListener("pagehide", keepDraft);
}

/** One poll at a time; who asks meanwhile gets the one under way. */
function pollOnce() {
  if (isOver) return Promise.resolve();
  polling ??= poll().finally(() => (polling = null));
  return polling;
}

function isAtEnd() {
  const last = list.lastElementChild;
  return !last || last.getBoundingClientRect().bottom <= innerHeight;
}

function keepDraft() {
  const typed = compose?.elements.message.value;
  if (typed) sessionStorage.setItem(draft, typed);
}

function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

function prepareCompose() {
  const { id, message: text } = compose.elements;
  const failure = compose.querySelector("[data-failure]");
  let isSending = false;
  let tried = null;

  if (!text.value) text.value = sessionStorage.getItem(draft) ?? "";
  sessionStorage.removeItem(draft);

  compose.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (isSending) return;
    isSending = true;
    compose.setAttribute("aria-busy", "true");
    // The same text keeps its id, so that a lost answer makes no second message; another text is another message.
    if (tried !== null && tried !== text.value) id.value = newId();
    const sent = text.value;
    tried = sent;
    const answer = await call(`${api}/messages`, { method: "POST", token, body: { content: sent, id: id.value } });
    failure.hidden = answer.ok;
    if (answer.ok) {
      tried = null;
      id.value = newId();
      if (text.value === sent) text.value = "";
      text.dispatchEvent(new Event("input"));
      await pollOnce();
      // The poll that was under way may have begun before this message was stored.
      if (!known.has(answer.data.message_id)) await pollOnce();
      sentNotice.hidden = known.has(answer.data.message_id);
      text.focus({ preventScroll: true });
      compose.scrollIntoView({ block: "nearest" });
    } else {
      const again = mayPass(answer) ? "Your message did not get through. It is still here; please try again." : "";
      failure.textContent = `${again} ${sentence(answer)}`.trim() || "This could not be sent. Please reload the page.";
      text.focus({ preventScroll: true });
      for (const element of [compose, failure]) element.scrollIntoView({ block: "nearest" });
    }
    isSending = false;
    compose.removeAttribute("aria-busy");
  });
}

if (compose) prepareCompose();
// Unless the address or an answer leads elsewhere.
if (!document.querySelector(":target, [autofocus]")) document.getElementById("latest").scrollIntoView();
addEventListener(
  "scroll",
  () => {
    if (isAtEnd()) arrived.hidden = true;
  },
  { passive: true },
);
timer = setInterval(() => {
  if (!document.hidden) pollOnce();
}, POLL_MS);
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) pollOnce();
});
