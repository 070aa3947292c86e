// The pages. Each is a function of the state that returns what stands in <main>.
import {capital, duration, el, gigabytes, megabytes, percent, pill, since, table} from "./dom.js";
import {state} from "./live.js";

const byId = (a, b) => a.agentId.localeCompare(b.agentId, undefined, {numeric: true});
const agentLink = (id) => el("a", {href: `#/agents/${encodeURIComponent(id)}`}, id);

/** Of an agent that is away, the last that is known, without a colour. */
function appPill(app, isOnline) {
  const sick = app.health === "unhealthy";
  const title = [isOnline ? "" : "last known", capital(app.status), app.health, app.version && `version ${app.version}`, app.healthMessage || app.message,
    app.hold && `held by ${app.hold.by}: ${app.hold.reason ?? ""}`].filter(Boolean).join(", ");
  return pill(!isOnline ? "" : sick ? "unhealthy" : app.status, `${app.id} ${sick ? "Unhealthy" : capital(app.status)}${app.hold ? ", held" : ""}`, title);
}

export function agentsPage() {
  const agents = [...state.agents.values()].sort(byId);
  const online = agents.filter((agent) => agent.isOnline).length;
  const heading = [el("h1", {}, "Agents"), el("p", {class: "sub"}, `${agents.length} registered, ${online} online`)];
  if (!agents.length)
    return [...heading, el("p", {class: "note"}, "No agent has registered yet. Start one beside this console: ", el("code", {}, "fleet-agent --dev"))];
  return [...heading, table("Agents", ["Agent", "Status", "System", "#CPU", "#Memory", "Apps"], agents.map((agent) => {
    const metrics = (agent.isOnline && agent.metrics) || {};
    return [
      [agentLink(agent.agentId), el("small", {}, agent.hostname ?? "")],
      [pill(agent.isOnline ? "online" : "offline"), agent.isOnline ? null : el("small", {}, since(agent.lastSeen))],
      [agent.os?.name ?? agent.os?.id ?? "–"],
      [percent(metrics.cpuPercent)],
      [gigabytes(metrics.memoryUsedBytes)],
      [el("div", {class: "apps"}, (agent.apps ?? []).map((app) => appPill(app, agent.isOnline)))],
    ];
  }))];
}

function card(label, value, used, total) {
  const meter = total ? el("meter", {min: 0, max: total, high: total * 0.9, optimum: 0, value: used, "aria-label": label}) : null;
  return el("div", {class: "card"}, el("b", {}, value), el("span", {}, label), meter);
}

function metricCards(agent) {
  const m = agent.metrics ?? {};
  return el("div", {class: "cards"},
    card("CPU", percent(m.cpuPercent), m.cpuPercent, m.cpuPercent === undefined ? 0 : 100),
    card(`memory of ${gigabytes(m.memoryTotalBytes)}`, gigabytes(m.memoryUsedBytes), m.memoryUsedBytes, m.memoryTotalBytes),
    (m.disks ?? []).map((d) => card(`${d.mount} of ${gigabytes(d.totalBytes)}`, gigabytes(d.usedBytes), d.usedBytes, d.totalBytes)),
    m.load1 === undefined ? null : card("load over 1 min", m.load1.toFixed(2)),
    m.uptimeSeconds === undefined ? null : card("uptime", duration(m.uptimeSeconds)));
}

/** The command asked for from this page: what became of it. */
function outcome(asked) {
  if (asked.error) return el("div", {class: "outcome bad"}, asked.error);
  const command = state.commands.get(asked.command.commandId) ?? asked.command;
  const final = ["succeeded", "failed", "expired", "cancelled", "unknown"].includes(command.state);
  const mood = !final ? "" : command.state === "succeeded" ? "good" : "bad";
  const words = command.message || command.progress?.message || "";
  return el("div", {class: `outcome ${mood}`},
    `Restart of ${command.appId}: ${command.state}${words ? `. ${words}` : ""}`,
    command.logLines?.length ? el("pre", {}, command.logLines.join("\n")) : null);
}

/** Would the console refuse a restart by whoever is logged in? */
const mayRestart = () => {
  const actions = state.me?.limits?.actions;
  return state.me?.role !== "viewer" && (!actions || actions.includes("restart"));
};

/** The server's admin has commands for this app wait: until when, who says so, and why. */
const holdNote = (hold) => el("div", {class: "hold"}, pill("held"), " ends ", since(hold.until), `, by ${hold.by}: ${hold.reason ?? ""}`);

export function agentPage(id, asked, restart) {
  const agent = state.agents.get(id);
  if (!agent) return [el("h1", {}, id), el("p", {class: "note"}, "No agent with this id has registered. ", el("a", {href: "#/"}, "All agents"))];
  const apps = agent.apps ?? [];
  const facts = [agent.hostname, agent.os?.name, agent.os?.kernel && `kernel ${agent.os.kernel}`, agent.os?.arch,
    agent.agentVersion && `agent ${agent.agentVersion}`].filter(Boolean).join(" · ");
  const troubles = [
    ...(agent.drivers ?? []).filter((d) => d.error).map((d) => `Driver ${d.name} is not usable: ${d.error}`),
    ...(agent.problems ?? []).map((p) => `${p.file}:${p.line}: ${p.message}`)];
  return [
    el("h1", {}, agent.agentId, " ", pill(agent.isOnline ? "online" : "offline")),
    el("p", {class: "sub"}, facts, el("br"), agent.isOnline ? "connected " : "last seen ", since(agent.isOnline ? agent.connectedSince : agent.lastSeen)),
    agent.isOnline ? metricCards(agent) : null,
    troubles.length ? el("div", {class: "outcome"}, troubles.map((text) => el("div", {}, text))) : null,
    el("h2", {}, "Apps"),
    apps.length
      ? table("Apps", ["App", "Status", "Version", "#Memory", "Since", "Action"], apps.map((app) => [
        [app.id, el("small", {}, app.message ?? ""),
          app.hold ? holdNote(app.hold) : null],
        [pill(agent.isOnline ? app.status : "", capital(app.status), agent.isOnline ? null : "last known"), " ",
          agent.isOnline && app.health && app.health !== "unknown" ? pill(app.health) : null,
          el("small", {}, app.health === "unhealthy" ? app.healthMessage ?? "" : "")],
        [app.version ?? "–"],
        [megabytes(app.memoryBytes ?? undefined)],
        [since(app.since)],
        [el("button", {id: `restart-${app.id}`, type: "button", "aria-label": `Restart ${app.id}`, onclick: () => restart(agent, app),
          disabled: !mayRestart() || Boolean(app.hold),
          title: !mayRestart() ? "your key does not allow it" : app.hold ? "held on its server" : null}, "Restart")],
      ]))
      : el("p", {class: "note"}, "No apps are declared on this server."),
    asked?.agentId === id ? outcome(asked) : null,
  ];
}

/** ended: somebody was logged in on this page before. submit(key) gives why not, or "". */
export function loginPage(ended, submit) {
  const problem = el("div", {class: "outcome bad", role: "alert"});
  const key = el("input", {id: "key", type: "password", name: "key", autocomplete: "current-password", required: true,
    spellcheck: "false", autocapitalize: "off"});
  const button = el("button", {type: "submit", class: "danger"}, "Log in");
  return el("form", {
    class: "login",
    onsubmit: async (event) => {
      event.preventDefault();
      button.disabled = true;
      problem.textContent = "";
      problem.textContent = await submit(key.value.trim());
      button.disabled = false;
      key.select();
    },
  },
  el("h1", {}, "Log in"),
  el("p", {class: "sub"}, ended ? "Your session has ended." : "This console asks who you are."),
  // For password managers: what they keep the key under.
  el("input", {type: "text", name: "username", autocomplete: "username", value: "fleet", hidden: true}),
  el("label", {for: "key"}, "API key"), key, button, problem,
  el("p", {class: "hint"}, "An admin makes one with ", el("code", {}, "fleetctl keys create"),
    "; the first is made at the console with ", el("code", {}, "fleet-console init"), "."));
}

export function auditPage() {
  const heading = [el("h1", {}, "Audit"), el("p", {class: "sub"}, "The newest events. Older ones: fleetctl audit --last 1000")];
  if (!state.audit.length) return [...heading, el("p", {class: "note"}, "Nothing has happened yet.")];
  return [...heading, table("Audit", ["Time", "Agent", "Category", "Who", "What"], state.audit.map((event) => [
    [since(event.timestamp)],
    [event.agentId ? agentLink(event.agentId) : "–"],
    [event.category],
    [event.actor ?? "–"],
    [event.message],
  ]))];
}
