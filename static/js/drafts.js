// What somebody has typed stays on their device until it is sent: through a reload, a second tab, a lost connection and a new
// sign-in. One draft for each form's address and member; signing out takes that member's away. A visitor's, who may sit at a
// borrowed device and cannot sign out, stays for a day. Passwords are never kept.

const DAY_MS = 24 * 3600 * 1000;
const member = document.querySelector("[data-member]")?.dataset.member ?? "";
const mine = `draft:${member}:`;

/** Keep what was typed into the form of an address: values by the names of its fields. Nothing typed is no draft. */
export function keepDraft(address, fields) {
  if (!Object.values(fields).some((value) => value.trim())) return forgetDraft(address);
  store(() => localStorage.setItem(mine + address, JSON.stringify({ at: Date.now(), fields })));
}

export function readDraft(address) {
  return store(() => JSON.parse(localStorage.getItem(mine + address))?.fields) ?? null;
}

export function forgetDraft(address) {
  store(() => localStorage.removeItem(mine + address));
}

/** Put the form's draft into it, and keep what is typed from now on. */
export function bindDraft(form) {
  fillFromDraft(form);
  form.addEventListener("input", () => keepTyped(form));
  return addressOf(form);
}

export function keepTyped(form) {
  keepDraft(addressOf(form), textsOf(form));
}

/** Put the form's draft into it, and tell whether there was one. What the server has filled in stays. */
export function fillFromDraft(form) {
  const draft = readDraft(addressOf(form));
  const fields = fieldsOf(form);
  const isTyped = fields.some((field) => isText(field) && field.value.trim());
  if (!draft || isTyped || !fields.some((field) => isText(field) && draft[field.name])) return false;
  for (const field of fields) if (field.name in draft) field.value = draft[field.name];
  for (const field of fields) field.dispatchEvent(new Event("input"));
  tell(form);
  return true;
}

export function addressOf(form) {
  const { pathname, search } = new URL(form.getAttribute("action"), location.href);
  return form.dataset.draft || pathname + search;
}

/** What a form's draft is made of. Nothing is kept of a form in which only a choice was made. */
function textsOf(form) {
  const fields = fieldsOf(form);
  if (!fields.some((field) => isText(field) && field.value.trim())) return {};
  return Object.fromEntries(fields.map((field) => [field.name, field.value]));
}

function fieldsOf(form) {
  return [...form.elements].filter((field) => field.name && (isText(field) || field.localName === "select"));
}

function isText(field) {
  return field.localName === "textarea" || ["text", "email", "search"].includes(field.type);
}

function tell(form) {
  const line = document.createElement("p");
  line.className = "hint";
  line.setAttribute("role", "status");
  line.textContent = "What you typed before is still here.";
  form.querySelector(".actions")?.before(line);
  form.addEventListener("submit", () => line.remove());
}

/** A browser may keep nothing, or be full: then the words are in the page alone. */
function store(act) {
  try {
    return act();
  } catch {
    return null;
  }
}

function forgetWhere(isOver) {
  store(() => {
    for (const key of Object.keys(localStorage)) {
      if (key.startsWith("draft:") && isOver(key)) localStorage.removeItem(key);
    }
  });
}

forgetWhere((key) => {
  const age = Date.now() - (store(() => JSON.parse(localStorage.getItem(key)).at) ?? 0);
  return !(age < (key.startsWith("draft::") ? DAY_MS : 30 * DAY_MS));
});
for (const path of ["/logout", "/account/sign-out", "/account/erase", "/admin/logout/"]) {
  for (const form of document.querySelectorAll(`form[action="${path}"]`)) {
    form.addEventListener("submit", () => forgetWhere((key) => key.startsWith(mine)));
  }
}
