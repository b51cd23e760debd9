// One way to call our API: JSON in, JSON out, and a failure that says whether trying again can help.

const PATIENCE_MS = 20000;

/** What came back; `status` is 0 when nothing did. */
export async function call(address, { method = "GET", body, headers = {}, token } = {}) {
  const options = {
    method,
    headers: { Accept: "application/json", ...headers },
    credentials: "same-origin",
    cache: "no-store",
    signal: AbortSignal.timeout(PATIENCE_MS),
  };
  if (token) options.headers["X-CSRFToken"] = token;
  if (body !== undefined) {
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  try {
    const response = await fetch(address, options);
    const text = await response.text();
    return { status: response.status, ok: response.ok, etag: response.headers.get("ETag"), data: parse(text) };
  } catch {
    return { status: 0, ok: false, etag: null, data: {} };
  }
}

/** A part of a page, as the server renders it. A redirect leads to the sign-in page; `ok` is false where nothing has changed. */
export async function fetchPart(address, etag) {
  const options = {
    headers: etag ? { "If-None-Match": etag } : {},
    credentials: "same-origin",
    cache: "no-store",
    redirect: "manual",
    signal: AbortSignal.timeout(PATIENCE_MS),
  };
  try {
    const response = await fetch(address, options);
    const page = response.ok ? new DOMParser().parseFromString(await response.text(), "text/html") : null;
    const isSignedOut = response.type === "opaqueredirect";
    return { status: response.status, ok: response.ok, etag: response.headers.get("ETag"), page, isSignedOut };
  } catch {
    return { status: 0, ok: false, etag: null, page: null, isSignedOut: false };
  }
}

/**
 * A call by the member of this page. A stale token, as after a sign-in in another tab, is renewed and the call made once more.
 * The status is 401 when nobody is signed in any more, and when somebody else is.
 */
export async function post(address, body) {
  const answer = await call(address, { method: "POST", body, token: tokenFields()[0]?.value });
  if (answer.status !== 403) return answer;
  const outcome = await renewToken();
  if (outcome === "signed out") return { ...answer, status: 401, data: {} };
  if (outcome !== "renewed") return answer;
  return call(address, { method: "POST", body, token: tokenFields()[0]?.value });
}

/** Put a fresh token into every form of this page. */
export async function renewToken() {
  const answer = await fetchPart(location.pathname + location.search);
  if (answer.isSignedOut) return "signed out";
  if (!answer.ok) return "failed";
  if (answer.page.body.dataset.member !== document.body.dataset.member) return "signed out";
  const fresh = answer.page.querySelector("[name=csrfmiddlewaretoken]")?.value;
  if (!fresh) return "failed";
  for (const field of tokenFields()) field.value = fresh;
  return "renewed";
}

/** A link that leads through the sign-in back to an address, this page where none is given. */
export function signInLink(back = location.pathname + location.search) {
  const link = document.createElement("a");
  link.href = `${document.body.dataset.signIn}?next=${encodeURIComponent(back).replaceAll("%2F", "/")}`;
  link.textContent = "Sign in again";
  return link;
}

function tokenFields() {
  return document.querySelectorAll("[name=csrfmiddlewaretoken]");
}

function parse(text) {
  try {
    return JSON.parse(text) ?? {};
  } catch {
    return {};
  }
}

/** Whether the same call may succeed later: no answer, or a fault on the server's side. */
export function mayPass(answer) {
  return answer.status === 0 || answer.status >= 500;
}

/** The server's sentence for a person, or an empty text. */
export function sentence(answer) {
  return answer.data.error?.message ?? "";
}
