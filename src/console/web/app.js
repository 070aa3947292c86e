// What stands where: the address decides the page, the state decides what it says.
import {el, tick} from "./dom.js";
import {call, logIn, logOut, onChange, sentence, start, state} from "./live.js";
import {agentPage, agentsPage, auditPage, loginPage} from "./views.js";

const main = document.getElementById("main");
const link = document.getElementById("link");
const news = document.getElementById("news");
let asked = null; // the restart asked for last: {agentId, command} or {agentId, error}

function route() {
  const parts = location.hash.replace(/^#\/?/, "").split("/").filter(Boolean);
  if (parts[0] === "audit") return {name: "audit", title: "Audit"};
  if (parts[0] === "agents" && parts[1]) {
    try {
      return {name: "agent", id: decodeURIComponent(parts[1]), title: decodeURIComponent(parts[1])};
    } catch {
      return {name: "agents", title: "Agents"};
    }
  }
  return {name: "agents", title: "Agents"};
}

function content(page) {
  if (state.me === null) return [loginPage(known.size > 0, submit)];
  if (!state.loaded) return [el("p", {class: "note"}, state.error ?? "Asking the console …")];
  if (page.name === "audit") return auditPage();
  return page.name === "agent" ? agentPage(page.id, asked, restart) : agentsPage();
}

/** Draws the page anew, keeping the focus on what had it. */
function draw() {
  const page = state.me === null ? {name: "login", title: "Log in"} : route();
  if (page.name === "login" && document.getElementById("key")) return; // somebody is typing
  drawHeader();
  drawAlarm();
  const focused = document.activeElement;
  const mark = main.contains(focused) && focused !== main && (focused.id ? `#${CSS.escape(focused.id)}`
    : focused.getAttribute("href") && `a[href="${CSS.escape(focused.getAttribute("href"))}"]`);
  document.title = `${page.title} – Fleet`;
  for (const a of document.querySelectorAll("[data-nav]")) {
    if (a.dataset.nav === (page.name === "audit" ? "audit" : "agents")) a.setAttribute("aria-current", "page");
    else a.removeAttribute("aria-current");
  }
  main.replaceChildren(...content(page).filter(Boolean));
  if (mark) main.querySelector(mark)?.focus({preventScroll: true});
  if (page.name === "login") document.getElementById("key").focus();
}

function drawHeader() {
  const {me} = state;
  document.getElementById("nav").hidden = !me;
  document.getElementById("me").hidden = !me || Boolean(me.dev);
  document.getElementById("who").textContent = me ? `${me.name} (${me.role}${me.limits ? ", limited" : ""})` : "";
}

/** An audit log that has lost something is everybody's business, on every page. */
function drawAlarm() {
  const alarm = document.getElementById("alarm"), doubts = state.me ? state.doubts : [];
  const missing = Math.max(0, ...doubts.map((doubt) => doubt.missing));
  const text = doubts.length === 0 ? "" :
    (missing > 0 ? `The audit log has lost its last ${missing} entries` : "The audit log was changed") +
    `: ${doubts.map((doubt) => doubt.agentId).join(", ")} ${doubts.length > 1 ? "were" : "was"} shown what is not there. ` +
    "After a restore, an admin says so with: fleetctl audit accept-gap --reason TEXT";
  alarm.hidden = !text;
  if (alarm.textContent !== text) alarm.textContent = text;
}

/** The form's answer: why not, or nothing. */
async function submit(key) {
  try {
    await logIn(key, linkChanged);
    return "";
  } catch (error) {
    return sentence(error);
  }
}

// Many events in one moment are one drawing.
let drawing = false;
function drawSoon() {
  if (drawing) return;
  drawing = true;
  setTimeout(() => {
    drawing = false;
    draw();
  }, 50);
}

/** Asks before it does. */
function confirmed(text, action) {
  return new Promise((resolve) => {
    const dialog = el("dialog", {"aria-label": action}, el("p", {}, text), el("form", {method: "dialog"},
      el("button", {value: "no", autofocus: true}, "Cancel"), el("button", {value: "yes", class: "danger"}, action)));
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

async function restart(agent, app) {
  const late = agent.isOnline ? "" : ` ${agent.agentId} is offline: the restart waits for it, ten minutes at most.`;
  const yes = await confirmed(`Restart ${app.id} on ${agent.agentId}?${late}`, "Restart");
  document.getElementById(`restart-${app.id}`)?.focus(); // the button that opened the dialog may have been drawn anew
  if (!yes) return;
  try {
    const {value} = await call("POST", `/api/agents/${encodeURIComponent(agent.agentId)}/restart-app`, {appId: app.id});
    asked = {agentId: agent.agentId, command: value};
  } catch (error) {
    asked = {agentId: agent.agentId, error: sentence(error)};
  }
  announce(asked.error ?? `Restart of ${app.id} was sent`);
  draw();
  document.querySelector(".outcome")?.scrollIntoView({block: "nearest"});
}

/** After a gap in the events: how the restart asked for here has gone on meanwhile. */
async function catchUp() {
  if (!asked?.command) return;
  const {value} = await call("GET", `/api/commands/${asked.command.commandId}`).catch(() => ({}));
  if (value) state.commands.set(value.commandId, value);
  drawSoon();
}

function linkChanged(how) {
  link.className = `link ${how}`;
  link.textContent = {live: "live", lost: "reconnecting", out: ""}[how];
}

function announce(text) {
  news.textContent = text;
}

const known = new Map(); // agentId: was it online when last seen here?
onChange((kind, resource) => {
  if (kind === "all") catchUp();
  if (kind === "agent" && known.get(resource.agentId) !== resource.isOnline)
    announce(`${resource.agentId} is ${resource.isOnline ? "online" : "offline"}`);
  if (kind === "command" && resource.commandId === asked?.command?.commandId)
    announce(`Restart of ${resource.appId}: ${resource.state}`);
  for (const agent of state.agents.values()) known.set(agent.agentId, agent.isOnline);
  drawSoon();
});

addEventListener("hashchange", () => {
  draw();
  main.focus({preventScroll: true});
  scrollTo(0, 0);
});
setInterval(tick, 5000);
document.getElementById("out").addEventListener("click", logOut);
draw();
start(linkChanged);
