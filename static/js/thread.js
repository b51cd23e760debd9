// New messages appear by themselves, and sending keeps the place and the text. Without this module it is a plain form.

import { call, mayPass, sentence } from "./api.js";
import { localiseTimes } from "./times.js";

const POLL_MS = 5000;
const list = document.querySelector("[data-thread]");
const compose = document.querySelector("[data-compose]");
const { api, me, report } = list.dataset;
const names = JSON.parse(list.dataset.names);
const known = new Map([...list.querySelectorAll("[data-id]")].map((element) => [element.dataset.id, element]));
const arrived = document.querySelector("[data-arrived]");
// What was typed waits here for the next visit: to an offer while this conversation already stood, or before signing in again.
const draft = `draft:${api.split("/").at(-1)}`;
const token = document.querySelector("[name=csrfmiddlewaretoken]")?.value;
// Only polling moves this on: what somebody else wrote just before our own message lies before it.
let latest = list.dataset.latest;
let etag = null;
let polling = null;
let isOver = false;
let timer = null;

function bubble(message) {
  const isMine = message.sender_id === me;
  const item = document.createElement("li");
  item.className = isMine ? "bubble mine" : "bubble";
  item.dataset.id = message.id;
  const time = document.createElement("time");
  time.dateTime = message.created_at;
  time.dataset.format = "full";
  const when = paragraph("when", "");
  when.append(time);
  if (!isMine) when.append(" ", reportLink(message));
  const who = names[message.sender_id] ?? "A former member";
  item.append(paragraph("who", who), paragraph("words", message.content), when);
  localiseTimes(item);
  return item;
}

function reportLink(message) {
  const link = document.createElement("a");
  link.className = "report";
  link.href = `${report}?message=${message.id}`;
  link.ariaLabel = "Report this message";
  link.textContent = "Report";
  return link;
}

function paragraph(name, text) {
  const element = document.createElement("p");
  element.className = name;
  element.textContent = text;
  return element;
}

function show(messages) {
  for (const message of messages) {
    const element = known.get(message.id) ?? bubble(message);
    known.set(message.id, element);
    // In the server's order: one that is already here moves behind what came before it.
    list.append(element);
  }
  document.querySelector("[data-empty]")?.remove();
}

async function poll() {
  const address = latest ? `${api}/messages?after=${latest}` : `${api}/messages`;
  const answer = await call(address, { headers: etag ? { "If-None-Match": etag } : {} });
  // Signed out meanwhile, or no longer in this conversation: asking again would not help.
  if ([401, 403, 404].includes(answer.status)) stopPolling(answer.status === 401);
  if (!answer.ok) return;
  etag = answer.etag;
  const { messages, has_more: hasMore } = answer.data;
  if (messages.length === 0) return;
  const atEnd = isAtEnd();
  const firstNew = messages.find((message) => message.sender_id !== me && !known.has(message.id));
  show(messages);
  latest = messages.at(-1).id;
  etag = null;
  if (firstNew) call(`${api}/read`, { method: "POST", token });
  if (atEnd) list.lastElementChild.scrollIntoView({ block: "nearest" });
  else if (firstNew) tellOfNew(known.get(firstNew.id));
  if (hasMore && address.includes("after=")) await poll();
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
      if (!known.has(answer.data.message.id)) show([answer.data.message]);
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
