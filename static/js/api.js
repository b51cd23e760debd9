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
