// Offering help without leaving the page. Without this module the same dialog is a plain form.

import { mayPass, post, sentence, signInLink } from "./api.js";
import { bindDraft, forgetDraft, keepDraft } from "./drafts.js";

// A phone number, an e-mail address or a link, or a number before the name of a street.
const PERSONAL = [
  /\+?\d(?:[\s()./-]*\d){6,}/,
  /\bhttps?:\/\/\S|\bwww\.\S|\S@\S+\.\S/i,
  /\b\d+\s+(?:\p{L}+\s+){1,3}(?:street|st|avenue|ave|road|rd|lane|ln|drive|dr|court|ct)\b/iu,
];

const section = document.querySelector("[data-offer]");
if (section) prepare(section);

function prepare(section) {
  const dialog = section.querySelector("dialog");
  const opener = section.querySelector("[data-open] button");
  const form = section.querySelector("[data-form]");
  const text = form.elements.initial_message;
  const send = section.querySelector("[data-send]");
  const retry = section.querySelector("[data-retry]");
  const failure = section.querySelector("[data-failure]");
  const draft = bindDraft(form);
  const personal = section.querySelector("[data-personal]");
  let isSending = false;
  let hasFailed = false;

  function open() {
    if (!dialog.open) dialog.show();
    opener.setAttribute("aria-expanded", "true");
    text.focus();
    dialog.scrollIntoView({ block: "nearest" });
  }

  function close() {
    dialog.close();
    opener.setAttribute("aria-expanded", "false");
    opener.focus();
  }

  function setSending(sending) {
    isSending = sending;
    form.setAttribute("aria-busy", String(sending));
    for (const button of [send, retry]) button.setAttribute("aria-disabled", String(sending));
  }

  function showFailure(title, message, canRetry) {
    failure.querySelector("[data-failure-title]").textContent = title;
    failure.querySelector("[data-failure-message]").textContent = message;
    failure.hidden = false;
    retry.hidden = !canRetry;
    send.hidden = canRetry;
    (canRetry ? retry : text).focus({ preventScroll: true });
    // Both in view where there is room for both; what went wrong where there is not.
    for (const element of [retry.parentElement, failure]) element.scrollIntoView({ block: "nearest" });
  }

  async function submit() {
    if (isSending) return;
    setSending(true);
    failure.hidden = true;
    const answer = await post(section.dataset.api, { initial_message: text.value });
    const conversation = answer.data.conversation_id ?? answer.data.error?.conversation_id;
    if (conversation) {
      // A conversation that stood before this offer has not taken the text: it waits there in the box. After a failure it
      // may be our own, made by the try whose answer was lost.
      if (!answer.ok && !hasFailed) keepDraft(`${section.dataset.messages}/${conversation}`, { message: text.value });
      forgetDraft(draft);
      location.assign(`${section.dataset.messages}/${conversation}`);
      return;
    }
    setSending(false);
    hasFailed ||= mayPass(answer);
    if (answer.status === 401) {
      showFailure("You are signed out.", "", false);
      failure
        .querySelector("[data-failure-message]")
        .replaceChildren(signInLink(`${form.getAttribute("action")}?offer=1#id_initial_message`));
    } else if (mayPass(answer)) showFailure("Failed to start conversation.", sentence(answer), true);
    else showFailure("", sentence(answer) || "This could not be sent. Please reload the page and try again.", false);
  }

  function remarkOnPersonalData() {
    personal.hidden = !PERSONAL.some((pattern) => pattern.test(text.value));
  }

  text.addEventListener("input", remarkOnPersonalData);
  remarkOnPersonalData();
  section.querySelector("[data-open]").addEventListener("submit", (event) => {
    event.preventDefault();
    open();
  });
  form.addEventListener("submit", (event) => {
    if (event.submitter?.hasAttribute("data-close")) return;
    event.preventDefault();
    submit();
  });
  document.getElementById("offer-close").addEventListener("submit", (event) => {
    event.preventDefault();
    close();
  });
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "Escape") close();
  });
  // Coming back by the Back button finds the page as it was left, in the middle of sending.
  addEventListener("pageshow", (event) => {
    if (event.persisted) setSending(false);
  });
  if (dialog.open && !dialog.querySelector("[autofocus]")) text.focus();
}
