// How much room is left, counted as the server counts: code points, with one kind of line end and no space around.

const NEAR = 0.8;

function count(text) {
  return [...text.replace(/\r\n?/g, "\n").trim()].length;
}

function describe(used, least, most) {
  const number = new Intl.NumberFormat(document.documentElement.lang);
  if (used > most) return `${number.format(used - most)} over ${number.format(most)}`;
  if (used === 0 && least > 0) return `At least ${number.format(least)} characters`;
  if (used < least) return `${number.format(least - used)} more needed`;
  return `${number.format(used)} of ${number.format(most)} characters`;
}

for (const field of document.querySelectorAll("[data-max]")) {
  const most = Number(field.dataset.max);
  const least = Number(field.dataset.min ?? 0);
  const line = document.createElement("p");
  line.className = "counter";
  field.after(line);
  const update = () => {
    const used = count(field.value);
    line.textContent = describe(used, least, most);
    line.classList.toggle("over", used > most);
    // Spoken only where it begins to matter, not at every key.
    line.setAttribute("aria-live", used > most * NEAR ? "polite" : "off");
  };
  field.addEventListener("input", update);
  field.form?.addEventListener("reset", () => setTimeout(update));
  update();
}
