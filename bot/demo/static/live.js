// Shows the page's changing part as it comes, but not under somebody's hands.
const view = document.getElementById("view");
let latest = null;

function show() {
  const active = document.activeElement;
  if (latest === null || (view.contains(active) && active.value)) return;
  view.innerHTML = latest;
  latest = null;
}

new EventSource("/events").onmessage = (event) => {
  latest = JSON.parse(event.data);
  show();
};
view.addEventListener("focusout", () => setTimeout(show, 0));
document.addEventListener("submit", (event) => {
  event.preventDefault();
  const form = event.target;
  fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)) }).then(() => form.reset());
});
document.getElementById("text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey) {
    event.preventDefault();
    event.target.form.requestSubmit();
  }
});
