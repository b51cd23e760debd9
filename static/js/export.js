// While a copy of the member's data is being put together, the account page shows how far it is. Without this, by hand.

import { localiseTimes } from "./times.js";

const PAUSE = 2000;

function show(section, fresh) {
  localiseTimes(fresh);
  for (const part of section.querySelectorAll("[data-part]")) {
    const now = fresh.querySelector(`[data-part="${part.dataset.part}"]`);
    // Only when something has changed, so that a screen reader is not told the same again and again.
    if (now.textContent !== part.textContent) part.replaceChildren(...now.childNodes);
  }
}

async function look() {
  const section = document.querySelector("[data-export]");
  if (!section?.querySelector("[data-under-way]")) return;
  try {
    const answer = await fetch(location.pathname, { headers: { Accept: "text/html" }, credentials: "same-origin" });
    if (answer.ok && !answer.redirected) {
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.querySelector("[data-export]");
      if (fresh) show(section, fresh);
    }
  } catch {
    // The next look may do better.
  }
  setTimeout(look, PAUSE);
}

setTimeout(look, PAUSE);
