// Tell the member's time zone once, so that quiet hours go by the clock where they live. The account page changes it.

const here = document.querySelector("script[data-member]");
const token = document.querySelector("[name=csrfmiddlewaretoken]")?.value;
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
const key = `time-zone:${here.dataset.member}`;

// A page without a form has no token: the next one has.
if (token && zone && !localStorage.getItem(key)) tell();

async function tell() {
  const options = { method: "POST", body: new URLSearchParams({ time_zone: zone }), credentials: "same-origin" };
  options.headers = { "X-CSRFToken": token };
  try {
    const answer = await fetch(here.dataset.address, options);
    if (!answer.ok) return;
    localStorage.setItem(key, zone);
    // Or saving this page's form would take it back.
    const choice = document.querySelector("select[name=time_zone]");
    if (choice && !choice.value) choice.value = zone;
  } catch {
    // Another page tells it.
  }
}
