// The number of unread messages, in the header and in the page's title.

const count = document.querySelector(".site-header [data-unread]");
const MOST = 99;

/** Show how many messages are unread, as a number. */
export function showUnread(number) {
  const text = number > MOST ? `${MOST}+` : String(number);
  if (count) {
    count.hidden = number === 0;
    count.querySelector("[data-number]").textContent = number === 0 ? "" : text;
  }
  const title = document.title.replace(/^\(\d+\+?\) /, "");
  document.title = number === 0 ? title : `(${text}) ${title}`;
}
