// The console of the control API. It shows what GET /units streams, and asks for everything else
// when that says that something happened. Whatever comes from a program is set as text, never as
// HTML; the HTML of a mail is shown in a frame that runs no scripts and loads nothing.

const KEPT = 2000; // units in the lists
const one = (id) => document.getElementById(id);
// For a server with a token: http://host:1080/#token=…, which browsers do not send.
const token = new URLSearchParams(location.hash.slice(1)).get("token");
const headers = token ? { Authorization: `Bearer ${token}` } : {};

async function ask(path, options = {}) {
  const answer = await fetch(path, { headers, ...options });
  const json = await answer.json();
  if (json.error) throw new Error(json.error);
  return json;
}

// Returns a function that looks once it has shown what the look before found: an answer that comes
// late must not replace a newer one.
function inTurn(look) {
  let last = Promise.resolve();
  return (...how) => (last = last.catch(() => {}).then(() => look(...how)));
}

function element(name, text = "", attributes = {}) {
  const made = Object.assign(document.createElement(name), attributes);
  if (text) made.textContent = text;
  return made;
}

// ── views ───────────────────────────────────────────────────────────────────

const views = [...document.querySelectorAll("nav button")];

function show(name) {
  for (const button of views) {
    const here = button.dataset.view === name;
    button.setAttribute("aria-pressed", here);
    one(button.dataset.view).hidden = !here;
  }
}

for (const button of views) button.onclick = () => show(button.dataset.view);

document.addEventListener("keydown", (event) => {
  if (event.target.matches("input, select") || event.ctrlKey || event.metaKey || event.altKey) return;
  if (views[event.key - 1]) show(views[event.key - 1].dataset.view);
  if (event.key === "p") one("pause").click();
  if (event.key === "/") show("wire"), one("filter").focus(), event.preventDefault();
  if (event.key === "j") step(1);
  if (event.key === "k") step(-1);
});

// ── the wire ────────────────────────────────────────────────────────────────

const waiting = []; // units that came while the list was paused
const lanes = ["program"];

function clock(seconds) {
  return new Date(seconds * 1000).toISOString().slice(11, 23);
}

function append(list, item) {
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
  list.append(item);
  while (list.children.length > KEPT) list.firstChild.remove();
  if (atEnd) list.scrollTop = list.scrollHeight;
}

function fits(item) {
  const words = one("filter").value.toLowerCase().split(/[\s,]+/).filter(Boolean);
  return !words.length || words.some((word) => item.textContent.toLowerCase().includes(word));
}

function add(unit) {
  const item = element("li", "", { className: unit.direction });
  const text = unit.lines.join("\n");
  item.append(element("time", clock(unit.at)), element("span", unit.session, { className: "session" }));
  item.append(element("pre", text), element("span", unit.section, { className: "section" }));
  if (unit.fault) {
    item.classList.add("struck");
    item.lastChild.replaceWith(element("span", `fault: ${unit.fault}`, { className: "fault" }));
  }
  item.hidden = !fits(item);
  append(one("units"), item);
  draw(unit);
}

// An arrow from the program to the server that it talks to, or back.
function draw(unit) {
  const what = unit.lines.find((line) => line.replace(/^[CS][:|] ?/, "")) || "";
  if (!lanes.includes(unit.protocol)) {
    lanes.push(unit.protocol);
    one("lanes").style.setProperty("--lanes", lanes.length);
    one("heads").replaceChildren(...lanes.map((name) => element("span", name)));
  }
  const item = element("li", "", { className: unit.direction === "-" ? "event" : unit.direction });
  const line = element("div", "", { className: "line", title: unit.lines.join("\n") });
  line.append(element("span", what.replace(/^[CS][:|] ?/, "")));
  const lane = lanes.indexOf(unit.protocol) + 1; // columns are counted from 1
  line.style.gridColumn = unit.direction === "-" ? lane : `1 / ${lane + 1}`;
  line.style.margin = unit.direction === "-" ? 0 : `0 ${50 / lane}%`; // from middle to middle
  if (unit.fault) item.classList.add("struck");
  item.append(element("time", clock(unit.at)), line);
  append(one("arrows"), item);
}

one("filter").oninput = () => {
  for (const item of one("units").children) item.hidden = !fits(item);
};
one("pause").onclick = () => {
  const paused = one("pause").getAttribute("aria-pressed") === "true";
  one("pause").setAttribute("aria-pressed", !paused);
  if (paused) waiting.splice(0).forEach(add);
};
one("empty").onclick = () => {
  one("units").replaceChildren();
  one("arrows").replaceChildren();
};

// ── mail ────────────────────────────────────────────────────────────────────

let mails = [];
let current = null; // the key of the mail that is shown

const lookAtMail = inTurn(async () => {
  const box = one("box").value;
  ({ mails } = await ask(box ? `/people/${encodeURIComponent(box)}/inbox` : "/mails"));
  // In a maildrop there may be mails that are no longer remembered otherwise.
  for (const [at, mail] of mails.entries()) mail.key = mail.id ?? `${box} ${at}`;
  mails.reverse();
  if (!box) one("count").textContent = mails.length || "";
  one("list").replaceChildren(...mails.map((mail) => {
    const item = element("li");
    const button = element("button", "", { onclick: () => open(mail.key) });
    button.setAttribute("aria-current", mail.key === current);
    button.append(element("b", mail.subject || "(no subject)"));
    button.append(element("small", `${mail.envelope.sender || "<>"} → ${mail.envelope.to.join(", ")}`));
    item.append(button);
    return item;
  }));
  if (!mails.some((mail) => mail.key === current)) {
    current = null;
    one("shown").replaceChildren(element("p", "No mail is chosen.", { className: "soft" }));
  }
});

function step(by) {
  const at = mails.findIndex((mail) => mail.key === current);
  const next = mails[Math.min(Math.max(at + by, 0), mails.length - 1)];
  if (next) show("mail"), open(next.key);
}

function open(key) {
  current = key;
  const mail = mails.find((found) => found.key === key);
  for (const [at, item] of [...one("list").children].entries())
    item.firstChild.setAttribute("aria-current", mails[at].key === key);
  const rows = [
    ["From", mail.sender], ["To", mail.to.join(", ")], ["Cc", mail.cc.join(", ")],
    ["sent to", mail.envelope.to.join(", ")], ["return path", mail.envelope.sender || "<>"],
    ["links", mail.links.join("\n")], ["codes", mail.codes.join(", ")],
    ["files", mail.attachments.map((file) => `${file.name || "(no name)"} ${file.type} ${file.size} B`).join("\n")],
  ];
  const table = element("dl");
  for (const [name, value] of rows.filter(([, text]) => text))
    table.append(element("dt", name), element("dd", value));
  const parts = element("p", "", { className: "parts" });
  const body = element("div");
  body.style.display = "contents";
  const kinds = { text: () => element("pre", mail.text), HTML: () => frame(mail.html), source: () => source(mail.id) };
  for (const [kind, make] of Object.entries(kinds)) {
    if ((kind === "HTML" && !mail.html) || (kind === "source" && mail.id === undefined)) continue;
    const button = element("button", kind, { onclick: () => {
      for (const other of parts.children) other.setAttribute("aria-pressed", other === button);
      body.replaceChildren(make());
    } });
    parts.append(button);
  }
  one("shown").replaceChildren(element("h2", mail.subject || "(no subject)"), table, parts, body);
  parts.children[mail.html ? 1 : 0].click();
}

function frame(html) {
  const made = element("iframe", "", { title: "the HTML of the mail" });
  made.setAttribute("sandbox", ""); // no scripts, no forms, no links that lead away
  made.srcdoc = html;
  return made;
}

function source(id) {
  const made = element("pre", "…");
  fetch(`/mails/${id}/raw`, { headers }).then(async (answer) => { made.textContent = await answer.text(); });
  return made;
}

one("box").onchange = () => lookAtMail().catch(lost);
one("purge").onclick = () => ask("/mails", { method: "DELETE" }).then(lookAtMail);

// ── chat and faults ─────────────────────────────────────────────────────────

const lookAtChat = inTurn(async () => {
  const { rooms } = await ask("/rooms");
  const inside = rooms.map(({ network, name, topic, members }) =>
    `${name} (${network})${topic && `, ${topic}`}: ${members.join(", ") || "nobody"}`);
  const messages = Object.entries(await ask("/messages"));
  const kinds = rooms.length ? [["rooms", inside], ...messages] : messages;
  one("chat").replaceChildren(...kinds.flatMap(([kind, texts]) => {
    const list = element("ul");
    list.append(...texts.map((text) => element("li", text)));
    return [element("h2", `${kind} (${texts.length})`), list];
  }));
  if (!kinds.length) one("chat").append(element("p", "Nobody has said anything.", { className: "soft" }));
});

const lookAtFaults = inTurn(async (change = {}, query = "") => {
  const { faults } = await ask("/faults" + query, change);
  one("armed").textContent = faults.length || "";
  one("list-of-faults").replaceChildren(...faults.map((text) => {
    const item = element("li", `${text} `);
    const remove = element("button", "disarm", { type: "button" });
    remove.onclick = () =>
      lookAtFaults({ method: "DELETE" }, `?fault=${encodeURIComponent(text)}`);
    item.append(remove);
    return item;
  }));
});

one("arm").onsubmit = async (event) => {
  event.preventDefault();
  one("mistake").textContent = "";
  try {
    await lookAtFaults({ method: "POST", body: one("fault").value });
    one("fault").value = "";
  } catch (error) {
    one("mistake").textContent = error.message;
  }
};
one("disarm").onclick = () => lookAtFaults({ method: "DELETE" });

// ── the stream ──────────────────────────────────────────────────────────────

let looking = null;

function lookSoon() {
  looking ??= setTimeout(() => {
    looking = null;
    Promise.all([lookAtPeople(), lookAtMail(), lookAtChat(), lookAtFaults()]).catch(lost);
  }, 100);
}

function lost(error) {
  one("state").textContent = `not connected: ${error.message}`;
  one("state").className = "bad";
}

async function lookAtPeople() {
  const { servers, people } = await ask("/world");
  const listed = Object.entries(servers).map(([name, [, port]]) => `${name} ${port}`);
  one("servers").textContent = `${listed.join(" · ")} · ${people.join(", ")}`;
  const boxes = one("box");
  for (const name of people.slice(boxes.options.length - 1)) // after "all that arrived"
    boxes.append(element("option", name));
}

async function follow() {
  await lookAtPeople();
  // Not an EventSource, which cannot send the token.
  const answer = await fetch("/units", { headers });
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  one("state").textContent = "connected";
  one("state").className = "";
  lookSoon();
  for (let text = ""; ;) {
    const { done, value } = await reader.read();
    if (done) throw new Error("the servers have ended");
    const events = (text + value).split("\n\n");
    text = events.pop();
    for (const event of events.filter((event) => event.startsWith("data: "))) {
      const unit = JSON.parse(event.slice(6));
      if (one("pause").getAttribute("aria-pressed") === "true") waiting.push(unit), waiting.splice(0, waiting.length - KEPT);
      else add(unit);
      lookSoon();
    }
  }
}

async function followForEver() {
  for (;;) {
    await follow().catch(lost);
    await new Promise((again) => setTimeout(again, 2000));
  }
}

show("wire");
followForEver();
