// The console's state in this page: fetched once, kept true by its event stream, fetched anew after every gap.

// me: who is logged in, {name, role, limits, dev}; null nobody, undefined not known yet.
// doubts: agents that were shown what the audit log does not have.
export const state = {agents: new Map(), audit: [], commands: new Map(), doubts: [], error: null, loaded: false, me: undefined};
export const AUDIT_SHOWN = 100;

const listeners = new Set();
/** changed(kind, resource) after each change; kind is agent, command, audit, all or session. */
export const onChange = (changed) => listeners.add(changed);
const tell = (kind, resource) => listeners.forEach((changed) => changed(kind, resource));

export class Refused extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}
export const sentence = (error) => (error instanceof Refused ? error.message : "The console cannot be reached.");

/** JSON of an answer; Refused with the console's own sentence otherwise. */
export async function call(method, path, body) {
  const answer = await fetch(path, {
    method,
    headers: {"X-Fleet-Client": "dashboard", ...(body ? {"Content-Type": "application/json"} : {})},
    body: body && JSON.stringify(body),
  });
  const value = await answer.json().catch(() => null);
  if (!answer.ok) {
    const login = method === "POST" && path === "/api/session";
    if (answer.status === 401 && state.me !== null && !login) { // nobody is logged in, or not any more
      state.me = null;
      tell("session");
    }
    throw new Refused(answer.status, value?.detail ?? value?.title ?? `The console answered ${answer.status}`);
  }
  return {value, next: /<([^>]*)>;\s*rel="?next/.exec(answer.headers.get("Link") ?? "")?.[1]};
}

async function allAgents() {
  const agents = new Map();
  for (let path = "/api/agents?limit=1000"; path;) {
    const {value, next} = await call("GET", path);
    value.forEach((agent) => agents.set(agent.agentId, agent));
    path = next && new URL(next, location).pathname + new URL(next, location).search;
  }
  return agents;
}

/** Whoever sees some agents only sees a part of the log only. */
async function fetchDoubts() {
  if (state.me?.limits) return;
  const {value} = await call("GET", "/api/audit/doubts").catch(() => ({}));
  if (!value) return;
  state.doubts = value;
  tell("doubts");
}

// Events that arrive while the lists are on their way are newer than the lists.
let early = null;

async function fetchAll() {
  const mine = (early = []);
  try {
    const [agents, audit] = await Promise.all([allAgents(), call("GET", `/api/audit?limit=${AUDIT_SHOWN}&requests=false`)]);
    if (early !== mine) return; // a later gap began a later fetch
    Object.assign(state, {agents, audit: audit.value, error: null, loaded: true});
  } catch (error) {
    if (early !== mine) return;
    state.error = sentence(error);
    setTimeout(() => early === null && state.error && state.me && fetchAll(), 3000);
  }
  early = null;
  mine.forEach(([kind, resource]) => take(kind, resource));
  tell("all");
  if (state.loaded) fetchDoubts();
}

function take(kind, resource) {
  if (early) {
    early.push([kind, resource]);
    return;
  }
  if (kind === "agent") {
    if (resource.removed) state.agents.delete(resource.agentId);
    else state.agents.set(resource.agentId, resource);
  } else if (kind === "command") {
    state.commands.set(resource.commandId, resource);
    if (state.commands.size > 200) state.commands.delete(state.commands.keys().next().value);
  } else if (resource.category !== "request" && !state.audit.some((event) => event.eventId === resource.eventId)) {
    state.audit.unshift(resource);
    state.audit.sort((a, b) => b.seq - a.seq).splice(AUDIT_SHOWN);
    if (resource.category === "system") fetchDoubts(); // it may tell of one, or of its end
  }
  tell(kind, resource);
}

/** Opens the stream. EventSource reconnects; where it gives up, we ask who we are, and begin anew. */
function listen(linkChanged) {
  const source = new EventSource("/api/events");
  source.onopen = () => {
    linkChanged("live");
    fetchAll();
  };
  source.onerror = () => {
    linkChanged("lost");
    if (source.readyState === EventSource.CLOSED) setTimeout(() => start(linkChanged), 1000);
    else if (!state.loaded && !early) fetchAll(); // says why
  };
  for (const kind of ["agent", "command", "audit"])
    source.addEventListener(kind, (event) => take(kind, JSON.parse(event.data)));
  source.addEventListener("reset", fetchAll); // some events were missed
}

/** Finds out who is logged in, and where somebody is opens the stream. linkChanged("live", "lost" or "out"). */
export async function start(linkChanged) {
  try {
    state.me = (await call("GET", "/api/session")).value;
  } catch (error) {
    if (state.me === null) {
      linkChanged("out");
    } else {
      state.error = sentence(error);
      linkChanged("lost");
      tell("session");
      setTimeout(() => start(linkChanged), 3000);
    }
    return;
  }
  tell("session");
  listen(linkChanged);
}

/** Refused with why where the key is none. */
export async function logIn(key, linkChanged) {
  await call("POST", "/api/session", {key});
  Object.assign(state, {agents: new Map(), audit: [], commands: new Map(), error: null, loaded: false});
  return start(linkChanged);
}

/** Whoever comes next may see less: nothing of this page's state stays. */
export async function logOut() {
  await call("DELETE", "/api/session").catch(() => null); // the session may have ended by itself
  location.reload();
}
