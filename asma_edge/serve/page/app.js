// Listens to the recogniser and shows what it says. docs/page.md describes the messages.

import { Chart, COLOURS } from "./chart.js";
import { Stage } from "./stage.js";

const SILENCE = 12; // seconds; the server speaks at least every five
const LONGEST = 10; // seconds between two tries to connect
const SPOKEN = 1500; // ms between two texts for a screen reader
const MOST_ACTIONS = 100;
const STATES = {
  ready: "nothing it knows",
  warming: "filling the window",
  restarted: "starting again",
  nobody: "nobody is seen",
  still: "standing still",
};

const el = (id) => document.getElementById(id);
const stage = new Stage(el("stage"));
const chart = new Chart(el("chart"));
const actions = new Map();
const counts = new Map();
let hello = null;
let frame = null;
let over = false;
let chosen = null; // id of the person whose scores are drawn

// ---- texts ----

/** Write a text only where it changed: screen readers and layout are spared the rest. */
function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function make(tag, className, text = "") {
  const node = document.createElement(tag);
  node.className = className;
  node.textContent = text;
  return node;
}

/** Seconds of the source as a time: of the day where they count from 1970. */
function clock(t) {
  if (t > 1e9) return new Date(t * 1000).toLocaleTimeString();
  const tenths = Math.round(t * 10);
  return `${Math.floor(tenths / 600)}:${((tenths % 600) / 10).toFixed(1).padStart(4, "0")}`;
}

const seconds = (value) => `${value.toFixed(1)} s`;
const colourOf = (label) => `k${Math.max(hello.labels.indexOf(label), 0) % COLOURS}`;
const nameOf = (id) => (id === null ? "" : `Person ${id + 1}`);
const several = () => frame !== null && frame.people.some(({ id, state }) => id !== null && state);

// ---- what is there ----

function drawPeople() {
  const list = el("people");
  const people = frame.people.filter(({ state }) => state !== null);
  list.classList.toggle("single", people.length === 1 && people[0].id === null);
  if (!people.length) {
    list.replaceChildren(make("li", "quiet", "Nobody is seen"));
    return;
  }
  if (!people.some(({ id }) => id === chosen)) chosen = people[0].id;
  const ids = people.map(({ id }) => String(id)).join();
  if (list.dataset.ids !== ids || !list.querySelector("button")) {
    list.dataset.ids = ids;
    list.replaceChildren(...people.map(({ id }) => rowOf(id)));
  }
  people.forEach((person, index) => {
    const row = list.children[index].firstChild;
    const [who, state, label, score, meter] = row.children;
    const named = person.label !== null;
    say(who, nameOf(person.id) || (named ? "Doing" : "One person"));
    say(state, person.since !== null ? lasting(person) : "");
    say(label, person.label ?? STATES[person.state] ?? "");
    label.classList.toggle("quiet", !named);
    say(score, named && person.score ? person.score.toFixed(2) : "");
    meter.value = named ? person.score : 0;
    row.setAttribute("aria-pressed", String(people.length > 1 && person.id === chosen));
  });
}

/** How long an action has gone on, and how often it was repeated where only one person can have done so. */
function lasting({ id, label, since }) {
  const times = id === null ? (counts.get(label)?.repetitions ?? 0) : 0;
  return `for ${seconds(Math.max(frame.t - since, 0))}${times ? `, ${times} repetition${times > 1 ? "s" : ""}` : ""}`;
}

/** A button that chooses the person whose scores are drawn. */
function rowOf(id) {
  const item = make("li", "");
  const row = make("button", `k${(id ?? 0) % COLOURS}`);
  row.type = "button";
  const meter = make("meter", "");
  meter.setAttribute("aria-label", "score");
  row.append(make("span", "who"), make("span", "state"), make("span", "label"), make("span", "score"), meter);
  row.addEventListener("click", () => {
    chosen = id;
    draw();
  });
  item.append(row);
  return item;
}

function drawStage() {
  const dims = hello.units === "pixels" ? 2 : 3;
  const people = frame.people
    .filter(({ pose }) => pose)
    .map(({ id, pose, state }) => ({
      id: state === null ? undefined : id,
      name: state === null ? "" : nameOf(id),
      colour: state === null ? "--muted" : `--c${(id ?? 0) % COLOURS}`,
      points: hello.joints.map((_, v) => (pose[v * dims] === null ? null : pose.slice(v * dims, v * dims + dims))),
    }));
  stage.show(people);
  say(el("veil"), people.length ? "" : "Nobody is seen");
  const seen = people.length === 1 ? "the skeleton of one person" : `the skeletons of ${people.length} people`;
  el("stage").setAttribute("aria-label", people.length ? `Live drawing: ${seen}` : "Nobody is seen");
}

function drawChart() {
  const mine = [...actions.values()].filter(({ person }) => person === chosen);
  chart.draw(chosen, mine);
  const likely = chart.likely(chosen);
  const best = Math.max(0, ...likely.map(([, score]) => score));
  const legend = el("legend");
  const ids = likely.map(([k]) => k).join();
  if (legend.dataset.ids !== ids) {
    legend.dataset.ids = ids;
    legend.replaceChildren(...likely.map(([k]) => {
      const item = make("li", `k${k % COLOURS}`);
      item.append(make("i", `d${Math.floor(k / COLOURS) % 3}`), make("span", "", hello.labels[k]), make("span", "number"));
      return item;
    }));
  }
  likely.forEach(([, score], index) => {
    say(legend.children[index].lastChild, score.toFixed(2));
    legend.children[index].classList.toggle("best", score === best && score > 0);
  });
  say(el("whose"), several() ? ` – ${nameOf(chosen)}` : "");
}

function drawCost() {
  const show = (id, value, text) => say(el(id), value === null ? "–" : text(value));
  show("ms", frame.ms, (v) => `${v.toFixed(v < 10 ? 2 : 0)} ms`);
  show("fps", frame.fps, (v) => v.toFixed(0));
  show("age", frame.age, (v) => `${v.toFixed(0)} ms`);
  show("dropped", frame.dropped, String);
}

function drawActions() {
  const rows = [...actions.values()].reverse().map((action) => {
    const row = make("tr", action.end === null ? "open" : "");
    const name = make("td", colourOf(action.label));
    const who = nameOf(action.person);
    name.append(make("span", "dot"), action.label, ...(who ? [make("span", "quiet", ` – ${who}`)] : []));
    const lasted = action.end === null ? "going on" : seconds(action.end - action.t);
    row.append(
      make("td", "", clock(action.t)), name, make("td", "number", lasted), make("td", "number", action.score.toFixed(2)),
    );
    return row;
  });
  el("actions").replaceChildren(...rows);
  el("no-actions").hidden = rows.length > 0;
}

function drawCounts() {
  const sorted = [...counts.values()].sort((a, b) => (a.label === null) - (b.label === null));
  const rows = sorted.map(({ label, actions: times, repetitions, last, quality }) => {
    const row = make("tr", "");
    const name = make("td", label === null ? "quiet" : colourOf(label));
    name.append(...(label === null ? ["not named"] : [make("span", "dot"), label]));
    row.append(
      name, make("td", "number", label === null ? "–" : String(times)), make("td", "number", repetitions ? String(repetitions) : "–"),
      make("td", "number", last === null ? "–" : seconds(last)), make("td", "number", quality === null ? "–" : quality.toFixed(2)),
    );
    return row;
  });
  el("counts").replaceChildren(...rows);
  el("no-counts").hidden = rows.length > 0;
}

let quiet = false;
/** What a screen reader is told: what people do, when that changes, and not too often. */
function speak() {
  if (quiet || !frame) return;
  const people = frame.people.filter(({ state }) => state !== null);
  const texts = people.map(({ id, label, state }) => `${nameOf(id)} ${label ?? STATES[state] ?? ""}`.trim());
  const text = texts.join(", ") || STATES.nobody;
  if (el("spoken").textContent === text) return;
  el("spoken").textContent = text;
  quiet = true;
  setTimeout(() => {
    quiet = false;
    speak();
  }, SPOKEN);
}

let asked = false;
/** Draw at the next chance, once for all that came until then. */
function draw() {
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => {
    asked = false;
    if (!hello || !frame) return;
    drawPeople();
    drawStage();
    drawChart();
    drawCost();
    speak();
  });
}

// ---- messages ----

const takes = {
  hello(values) {
    hello = values;
    over = false;
    frame = null;
    say(el("about"), `${hello.model} · ${hello.source}`);
    document.title = `${hello.model} – asma-edge`;
    el("side").hidden = hello.units === "pixels";
    actions.clear();
    counts.clear();
    for (const action of hello.actions) actions.set(action.n, action);
    for (const count of hello.counts) counts.set(count.label, count);
    stage.begin(hello);
    chart.begin(hello);
    drawActions();
    drawCounts();
  },
  frame(values) {
    frame = values;
    for (const { id, state, scores } of frame.people) if (state !== null) chart.add(frame.t, id, scores);
    draw();
  },
  action(values) {
    actions.set(values.n, values);
    if (actions.size > MOST_ACTIONS) actions.delete(actions.keys().next().value);
    drawActions();
    draw();
  },
  count(values) {
    counts.set(values.label, values);
    drawCounts();
  },
  over() {
    over = true;
    connection("live", "The source is over");
  },
  ping() {},
};

/** One Server-Sent Event: `event: kind` and `data: JSON`. */
function take(text) {
  const [kind, data] = text.split("\n").map((line) => line.slice(line.indexOf(":") + 2));
  takes[kind]?.(JSON.parse(data));
}

// ---- connection ----

function connection(state, text) {
  el("link").className = state;
  say(el("link"), text);
  document.body.classList.toggle("lost-link", state === "lost");
}

const refusals = {
  401: "Needs its token: open the address that asma-edge serve printed",
  503: "Too many viewers",
};

/** Read messages until the connection ends; throws why it did. */
async function listen(stop) {
  let alarm;
  const alive = () => {
    clearTimeout(alarm);
    alarm = setTimeout(() => stop.abort(), SILENCE * 1000);
  };
  try {
    alive();
    const answer = await fetch("live", { signal: stop.signal, cache: "no-store" });
    if (!answer.ok) throw new Error(refusals[answer.status] ?? `Refused (${answer.status})`);
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    connection("live", "Live");
    for (let rest = ""; ; ) {
      const { value, done } = await reader.read();
      if (done) throw new Error("Connection lost");
      alive();
      const messages = (rest + value).split("\n\n");
      rest = messages.pop();
      messages.forEach(take);
    }
  } finally {
    clearTimeout(alarm);
    stop.abort();
  }
}

const pause = (ms) => new Promise((done) => setTimeout(done, ms));
const visible = () => new Promise((done) => {
  if (!document.hidden) done();
  else document.addEventListener("visibilitychange", () => done(), { once: true });
});

async function stay() {
  for (let wait = 1; ; wait = Math.min(wait * 2, LONGEST)) {
    await visible(); // a phone in a pocket does not listen
    const stop = new AbortController();
    const hide = () => document.hidden && stop.abort();
    document.addEventListener("visibilitychange", hide);
    const begun = performance.now();
    try {
      await listen(stop);
    } catch (error) {
      if (performance.now() - begun > 5000) wait = 1;
      const known = error.name === "Error" ? error.message : "Connection lost";
      connection("lost", `${known}. Trying again in ${wait} s`);
    }
    document.removeEventListener("visibilitychange", hide);
    await pause(wait * 1000);
  }
}

for (const name of ["side", "mirror"]) {
  const button = el(name);
  const set = (on) => {
    stage[name] = on;
    button.setAttribute("aria-pressed", String(on));
    stage.draw();
  };
  button.addEventListener("click", () => set(!stage[name]));
  set(name === "side" && window.innerWidth > 760);
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
if (location.search) history.replaceState(null, "", location.pathname); // the token is now a cookie
stay();
