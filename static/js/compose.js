// Sending a message: it stands in the thread at once, and is settled, or says that it failed and offers to try again.

import { mayPass, post, sentence } from "./api.js";
import { addressOf, bindDraft, forgetDraft, keepDraft, readDraft } from "./drafts.js";
import { localiseTimes } from "./times.js";

/** Make the form send without leaving the page. The answer's `settle` is for messages that a poll has found to be stored. */
export function prepareCompose({ form, list, known, api, polling, onSignedOut }) {
  const text = form.elements.message;
  const failure = form.querySelector("[data-failure]");
  const draft = addressOf(form);
  // What is not stored yet, by id. It stays in the draft, so that a page that is left loses nothing.
  const unsent = new Map();
  let line = Promise.resolve();

  forgetWhatIsSaid();
  bindDraft(form);
  form.addEventListener("input", keep);

  /** What the last visit left in the draft may have been stored all the same, its answer lost. */
  function forgetWhatIsSaid() {
    const last = [...list.querySelectorAll(".bubble.mine .words")].at(-1)?.textContent.trim();
    if (last && readDraft(draft)?.message.trim() === last) forgetDraft(draft);
  }

  function keep() {
    keepDraft(draft, { message: [...unsent.values(), text.value].filter((words) => words.trim()).join("\n\n") });
  }

  function send() {
    const words = text.value.trim();
    if (!words) {
      if (unsent.size === 0) tell("Please write a message first.");
      return;
    }
    const id = newId();
    unsent.set(id, words);
    const bubble = makeBubble(words, id);
    known.set(id, bubble);
    list.append(bubble);
    document.querySelector("[data-empty]")?.remove();
    text.value = "";
    text.dispatchEvent(new Event("input", { bubbles: true }));
    failure.hidden = true;
    deliver(id);
    for (const element of [bubble, form]) element.scrollIntoView({ block: "nearest" });
    text.focus({ preventScroll: true });
  }

  /** One after the other, so that they are stored in the order in which they were written. */
  function deliver(id) {
    mark(known.get(id), "sending");
    line = line.then(() => attempt(id));
  }

  async function attempt(id) {
    if (!unsent.has(id)) return;
    const answer = await post(`${api}/messages`, { content: unsent.get(id), id });
    polling.isBusy();
    if (answer.ok) {
      settle(id, makeTime(answer.data.message?.created_at));
      polling.now();
    } else if (unsent.has(id)) {
      fail(id, answer);
    }
  }

  function settle(id, time) {
    const bubble = known.get(id);
    if (!bubble.classList.contains("pending")) return;
    unsent.delete(id);
    keep();
    bubble.classList.remove("pending", "sending", "failed");
    const when = bubble.querySelector(".when");
    when.replaceChildren(document.adoptNode(time));
    localiseTimes(when);
  }

  function fail(id, answer) {
    if (answer.status === 401) onSignedOut();
    if (mayPass(answer) || answer.status === 401 || text.value.trim()) {
      mark(known.get(id), "failed");
      const again = mayPass(answer) ? "Your message did not get through. It is kept; please try again." : "";
      if (answer.status !== 401) tell(`${again} ${sentence(answer)}`.trim() || "This could not be sent.");
      return;
    }
    // It cannot be sent as it is: back into the box with it.
    text.value = unsent.get(id);
    unsent.delete(id);
    known.get(id).remove();
    known.delete(id);
    text.dispatchEvent(new Event("input", { bubbles: true }));
    tell(sentence(answer) || "This could not be sent. Please reload the page.");
  }

  function mark(bubble, state) {
    bubble.classList.remove("sending", "failed");
    bubble.classList.add(state);
    const when = bubble.querySelector(".when");
    if (state === "sending") return when.replaceChildren("Sending…");
    const retry = document.createElement("button");
    retry.type = "button";
    retry.className = "quiet retry";
    retry.textContent = "Retry";
    retry.addEventListener("click", () => {
      failure.hidden = true;
      deliver(bubble.dataset.id);
      text.focus({ preventScroll: true });
    });
    when.replaceChildren("Not sent. ", retry);
  }

  function makeBubble(words, id) {
    const bubble = document.createElement("li");
    bubble.className = "bubble mine pending";
    bubble.dataset.id = id;
    bubble.append(paragraph("who", list.dataset.me), paragraph("words", words), paragraph("when", ""));
    return bubble;
  }

  function tell(message) {
    failure.textContent = message;
    failure.hidden = false;
    text.focus({ preventScroll: true });
    for (const element of [form, failure]) element.scrollIntoView({ block: "nearest" });
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send();
  });
  // A phone's keyboard takes half of the screen: Send stays in the other half.
  const button = form.querySelector("button[type=submit]");
  globalThis.visualViewport?.addEventListener("resize", () => {
    if (document.activeElement === text) button.scrollIntoView({ block: "nearest" });
  });
  return { settle };
}

function paragraph(name, words) {
  const made = document.createElement("p");
  made.className = name;
  made.textContent = words;
  return made;
}

function makeTime(at) {
  const time = document.createElement("time");
  time.dateTime = at;
  time.dataset.format = "full";
  return time;
}

function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
