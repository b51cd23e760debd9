// Keeps the control room up to date in place. Without this module a reload shows the same.

import { showLocalTimes } from "./local_times.js";

const PERIOD_MS = 5000;
const PATIENCE_MS = 15000;
const room = document.querySelector("[data-live]");
const stalled = room.querySelector("[data-stalled]");
let timer = null;
let isAsking = false;

async function refresh() {
  if (isAsking || document.hidden) return;
  isAsking = true;
  try {
    const response = await fetch(room.dataset.live, {
      credentials: "same-origin",
      cache: "no-store",
      // A redirect leads to the sign-in page.
      redirect: "manual",
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    if (response.type === "opaqueredirect" || response.status === 403) {
      clearInterval(timer);
      tell("You are signed out, so this page no longer updates. Sign in in another tab: what you typed here stays.");
    } else if (response.ok) {
      show(new DOMParser().parseFromString(await response.text(), "text/html"));
      tell("");
    } else {
      tell(`The figures could not be read just now (${response.status}); what you see is older. Trying again.`);
    }
  } catch {
    tell("The server does not answer just now; what you see is older. Trying again.");
  }
  isAsking = false;
}

function show(fresh) {
  showLocalTimes(fresh);
  for (const region of fresh.querySelectorAll("[data-region]")) {
    const present = room.querySelector(`[data-region="${region.dataset.region}"]`);
    if (present && !isInUse(present)) replace(present, document.importNode(region, true));
  }
  const title = fresh.querySelector("[data-title]")?.dataset.title;
  if (title) document.title = document.title.replace(/^[^|]*/, `${title} `);
  const health = fresh.querySelector(".health");
  if (health) room.querySelector(".health").className = health.className;
}

/** Whether somebody types or has typed there, or is about to press a button: such a part is left alone. */
function isInUse(region) {
  const controls = [...region.querySelectorAll("input, textarea, select")];
  return region.querySelector("form:focus-within, textarea:focus") !== null || controls.some(hasChanged);
}

function hasChanged(control) {
  if (control.type === "radio" || control.type === "checkbox") return control.checked !== control.defaultChecked;
  if (control instanceof HTMLSelectElement) {
    return [...control.options].some((option) => option.selected !== option.defaultSelected);
  }
  return control.value !== control.defaultValue;
}

function replace(present, fresh) {
  // What is open stays open, and a token that was good stays: neither is a reason to draw anything anew.
  for (const details of fresh.querySelectorAll("details[id]")) {
    details.toggleAttribute("open", present.querySelector(`[id="${details.id}"]`)?.open ?? details.open);
  }
  const token = present.querySelector("[name=csrfmiddlewaretoken]")?.value;
  for (const input of fresh.querySelectorAll("[name=csrfmiddlewaretoken]")) {
    input.setAttribute("value", token ?? input.value);
  }
  if (present.isEqualNode(fresh)) return;
  const focused = present.contains(document.activeElement) ? document.activeElement.id : "";
  present.className = fresh.className;
  present.replaceChildren(...fresh.childNodes);
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
}

function tell(sentence) {
  if (stalled.textContent !== sentence) stalled.textContent = sentence;
  stalled.hidden = sentence === "";
}

timer = setInterval(refresh, PERIOD_MS);
document.addEventListener("visibilitychange", refresh);
