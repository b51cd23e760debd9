// Forms that keep what is typed, and are sent without leaving the page until the server has taken it. Without this, plain forms.

import { mayPass, renewToken, signInLink } from "./api.js";
import { bindDraft, forgetDraft } from "./drafts.js";

const PATIENCE_MS = 20_000;
const FAILED = "This did not get through. What you typed is still here; please try again.";

async function deliver(form) {
  const options = {
    method: "POST",
    body: new URLSearchParams(new FormData(form)),
    credentials: "same-origin",
    signal: AbortSignal.timeout(PATIENCE_MS),
  };
  try {
    const response = await fetch(form.getAttribute("action"), options);
    const isSignIn = response.redirected && new URL(response.url).pathname === document.body.dataset.signIn;
    if (isSignIn) return { status: 401, url: null };
    return { status: response.status, url: response.redirected && response.ok ? response.url : null };
  } catch {
    return { status: 0, url: null };
  }
}

function prepare(form) {
  const address = bindDraft(form);
  const notice = document.createElement("p");
  notice.className = "notice refusal";
  notice.setAttribute("role", "alert");
  notice.hidden = true;
  form.querySelector(".actions")?.before(notice);
  let isSending = false;

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (isSending) return;
    isSending = true;
    form.setAttribute("aria-busy", "true");
    notice.hidden = true;
    let answer = await deliver(form);
    if (answer.status === 403) {
      const outcome = await renewToken();
      if (outcome === "renewed") answer = await deliver(form);
      else if (outcome === "signed out") answer = { status: 401, url: null };
    }
    isSending = false;
    form.removeAttribute("aria-busy");
    if (answer.url) {
      forgetDraft(address);
      location.assign(answer.url);
    } else if (answer.status === 401) {
      notice.replaceChildren("You are signed out. ", signInLink(), ". What you typed is kept.");
      show(notice);
    } else if (mayPass(answer)) {
      notice.textContent = FAILED;
      show(notice);
    } else {
      // What is wrong with it stands in the server's own page.
      form.submit();
    }
  });
}

function show(notice) {
  notice.hidden = false;
  notice.scrollIntoView({ block: "nearest" });
}

for (const form of document.querySelectorAll("form[data-draft]:not([data-compose], [data-form])")) prepare(form);
