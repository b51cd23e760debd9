// Drafts on staff pages. Their forms are sent by leaving the page, so a draft is forgotten where the next page tells of success.

import { addressOf, fillFromDraft, forgetDraft, keepTyped } from "./drafts.js";

const SENT = "sent-draft";

function formOf(event) {
  const form = event.target.form ?? event.target;
  return form.matches?.("form[data-draft]") ? form : null;
}

const sent = sessionStorage.getItem(SENT);
sessionStorage.removeItem(SENT);
if (sent && document.querySelector(".messagelist .success")) forgetDraft(sent);

for (const form of document.querySelectorAll("form[data-draft]")) {
  if (fillFromDraft(form)) form.closest("details")?.setAttribute("open", "");
}
// Parts of the control room are drawn anew while it is open, so the page listens for all its forms.
document.addEventListener("input", (event) => {
  const form = formOf(event);
  if (form) keepTyped(form);
});
document.addEventListener("submit", (event) => {
  const form = formOf(event);
  if (form) sessionStorage.setItem(SENT, addressOf(form));
});
