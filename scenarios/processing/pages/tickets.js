"use strict";

// What others change is loaded again, every two seconds while the page is looked at.
async function refresh() {
  const part = document.querySelector("[data-live]");
  if (!part || document.hidden) return;
  const answer = await fetch(part.dataset.live || location.href);
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = page.querySelector("[data-live]");
  if (!fresh || fresh.dataset.version === part.dataset.version) return;
  const focused = document.activeElement;
  const at = controls(part).indexOf(focused);
  const open = [...part.querySelectorAll("details")].map((one) => one.open);
  part.dataset.version = fresh.dataset.version;
  part.replaceChildren(...fresh.childNodes);
  // Who reads, and where, stays as it was: a new ticket comes before the others.
  part.querySelectorAll("details").forEach((one, number) => { one.open = open[number] ?? false; });
  if (at >= 0) {
    const now = controls(part);
    const same = now.find((one) => one.href && one.href === focused.href);
    (same ?? now[Math.min(at, now.length - 1)])?.focus();
  }
  // Who sees the new mail may answer it.
  const seen = document.querySelector("[name=seen]");
  if (seen) seen.value = fresh.dataset.seen;
}

function controls(part) {
  return [...part.querySelectorAll("a, button, summary")];
}

function links() {
  return [...document.querySelectorAll(".tickets a")];
}

// If the program is away, the page stays as it is.
setInterval(() => refresh().catch(() => {}), 2000);

document.addEventListener("keydown", (event) => {
  const writes = event.target.matches("input, textarea");
  if (event.key === "Enter" && event.ctrlKey && event.target.form) {
    event.target.form.requestSubmit();
  }
  if (event.key === "Escape" && writes) event.target.blur();
  if (writes || event.ctrlKey || event.altKey || event.metaKey) return;
  const field = { "/": "#q", "a": "#text" }[event.key];
  const step = { "j": 1, "k": -1 }[event.key];
  if (field && document.querySelector(field)) {
    event.preventDefault();
    document.querySelector(field).focus();
  } else if (step && links().length) {
    const at = links().indexOf(document.activeElement) + step;
    links()[Math.max(0, Math.min(at, links().length - 1))].focus();
  } else if (event.key === "u") {
    location.href = "/tickets";
  }
});
