"use strict";
(() => {
  const source = document.getElementById("playback");
  if (!source) return;
  const data = JSON.parse(source.textContent);
  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const raw = bytes(data.poses);
  const view = new DataView(raw.buffer);
  const scores = bytes(data.scores);
  const { joints, axes, t, labels } = data;
  const end = t[t.length - 1];
  const byId = (id) => document.getElementById(id);
  const [canvas, scrub, play, clock, speed, readout, plot, head] =
    ["stage", "scrub", "play", "clock", "speed", "readout", "plot", "head"].map(byId);
  const names = new Map([...document.querySelectorAll(".name")].map((el) => [Number(el.dataset.row), el]));
  let frame = 0, yaw = 0, running = false, origin = 0, begun = 0;

  const middle = data.near.map((low, a) => (low + data.far[a]) / 2);
  const size = data.near.map((low, a) => data.far[a] - low);

  // Position of joint v in frame f as [right, up], or null where it is missing. Orthographic, turned by yaw.
  function place(f, v) {
    const p = [];
    for (let a = 0; a < axes; a++) {
      const value = view.getInt16(2 * ((f * joints + v) * axes + a), true);
      if (value === -32768) return null;
      p.push(data.offset[a] + value * data.step - middle[a]);
    }
    return axes === 3 ? [p[0] * Math.cos(yaw) + p[2] * Math.sin(yaw), p[1]] : p;
  }

  function draw() {
    const box = canvas.getBoundingClientRect(), ratio = window.devicePixelRatio || 1;
    canvas.width = box.width * ratio;
    canvas.height = box.height * ratio;
    const style = getComputedStyle(canvas);
    const colours = ["--trunk", "--left", "--right"].map((name) => style.getPropertyValue(name));
    const c = canvas.getContext("2d");
    c.setTransform(ratio, 0, 0, ratio, 0, 0);
    const wide = axes === 3 ? Math.hypot(size[0] * Math.cos(yaw), size[2] * Math.sin(yaw)) : size[0];
    const room = 0.86, scale = Math.min((room * box.height) / (size[1] || 1), (room * box.width) / (wide || 1));
    const at = (p) => [box.width / 2 + p[0] * scale, box.height / 2 - p[1] * scale];
    const floor = at([0, -size[1] / 2])[1] + 4;
    c.strokeStyle = style.getPropertyValue("--line");
    c.lineWidth = 1;
    c.beginPath();
    c.moveTo(box.width * 0.08, floor);
    c.lineTo(box.width * 0.92, floor);
    c.stroke();
    const points = Array.from({ length: joints }, (_, v) => place(frame, v)).map((p) => p && at(p));
    const thick = Math.max(2.5, Math.min(6, box.height / 80));
    c.lineCap = "round";
    c.lineWidth = thick;
    data.edges.forEach(([a, b], i) => {
      if (!points[a] || !points[b]) return;
      c.strokeStyle = colours[data.sides[i]];
      c.beginPath();
      c.moveTo(...points[a]);
      c.lineTo(...points[b]);
      c.stroke();
    });
    points.forEach((p, v) => {
      if (!p) return;
      c.fillStyle = style.getPropertyValue("--ink");
      c.beginPath();
      c.arc(p[0], p[1], v === data.crown ? thick * 1.9 : thick * 0.55, 0, 2 * Math.PI);
      c.fill();
    });
  }

  const node = (tag, cls, text) => {
    const el = document.createElement(tag);
    el.className = cls;
    if (text !== undefined) el.textContent = text;
    return el;
  };

  function tell() {
    const now = t[frame];
    const truth = data.segments.filter(([from, to]) => from <= now && now < to).map((s) => s[2]);
    // What is on: reported starts without an end so far.
    const on = new Set();
    for (const [at, kind, label] of data.events) if (at <= now) on[kind === "start" ? "add" : "delete"](label);
    const row = scores.subarray(frame * labels.length, (frame + 1) * labels.length);
    const order = [...row.keys()].filter((k) => row[k] !== 255).sort((a, b) => row[b] - row[a]).slice(0, 5);
    const parts = [];
    const pair = (name, value) => {
      const line = node("div", "pair");
      line.append(node("span", "muted", name), node("strong", "", value));
      parts.push(line);
    };
    if (data.segments.length) pair("True", truth.join(", ") || "–");
    if (data.events.length) pair("Reported", [...on].join(", ") || "–");
    if (labels.length && !order.length) parts.push(node("p", "muted", "Waiting for the first full window…"));
    for (const k of order) {
      const line = node("div", "share");
      const bar = node("i", "");
      bar.style.setProperty("--w", (100 * row[k]) / 254 + "%");
      const name = names.get(k);
      bar.style.setProperty("--c", name ? name.style.getPropertyValue("--c") : "var(--faint)");
      line.append(node("span", "", labels[k]), node("span", "num", (row[k] / 254).toFixed(2)), bar);
      parts.push(line);
    }
    readout.replaceChildren(...parts);
    for (const [k, el] of names) el.classList.toggle("on", k === order[0]);
    const text = now.toFixed(1) + " s";
    clock.textContent = text + " / " + end.toFixed(1) + " s";
    scrub.value = frame;
    scrub.setAttribute("aria-valuetext", text);
    head.style.left = (100 * now) / (end || 1) + "%";
  }

  function show(f) {
    frame = Math.max(0, Math.min(t.length - 1, f));
    draw();
    tell();
  }

  // The last frame that is not later than the time.
  function frameAt(time) {
    let low = 0, high = t.length - 1;
    while (low < high) {
      const half = (low + high + 1) >> 1;
      if (t[half] <= time) low = half;
      else high = half - 1;
    }
    return low;
  }

  function run(go) {
    running = go;
    play.textContent = go ? "Pause" : "Play";
    if (!go) return;
    if (frame >= t.length - 1) frame = 0;
    begun = performance.now();
    origin = t[frame];
    requestAnimationFrame(tick);
  }

  function tick(stamp) {
    if (!running) return;
    const time = origin + (Math.max(0, stamp - begun) / 1000) * Number(speed.value);
    const next = frameAt(time);
    if (next !== frame) show(next);
    if (time >= end) run(false);
    else requestAnimationFrame(tick);
  }

  function seek(f) {
    show(f);
    begun = performance.now();
    origin = t[frame];
  }

  play.addEventListener("click", () => run(!running));
  speed.addEventListener("change", () => seek(frame));
  scrub.addEventListener("input", () => seek(Number(scrub.value)));
  const point = (event) => {
    const box = plot.getBoundingClientRect();
    seek(frameAt(((event.clientX - box.left) / box.width) * end));
  };
  plot.addEventListener("pointerdown", (event) => {
    plot.setPointerCapture(event.pointerId);
    point(event);
  });
  plot.addEventListener("pointermove", (event) => {
    if (event.buttons) point(event);
  });
  if (axes === 3) {
    canvas.classList.add("turns");
    canvas.addEventListener("pointerdown", (event) => canvas.setPointerCapture(event.pointerId));
    canvas.addEventListener("pointermove", (event) => {
      if (!event.buttons) return;
      yaw += event.movementX / 120;
      draw();
    });
    canvas.addEventListener("keydown", (event) => {
      const turn = { ArrowLeft: -0.15, ArrowRight: 0.15 }[event.key];
      if (!turn) return;
      event.preventDefault();
      yaw += turn;
      draw();
    });
  }
  window.addEventListener("resize", draw);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  // Begin in the middle of the first action, where there is something to see.
  const first = data.segments.length ? frameAt((data.segments[0][0] + data.segments[0][1]) / 2) : 0;
  show(first);
})();
