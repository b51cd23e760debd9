// Says when a passkey did not work: the browser was told to stop, or it has none for this site.

const failed = document.querySelector("#passkey-failed");

document.addEventListener("allauth.error", (event) => {
  event.preventDefault();
  failed.hidden = false;
});
