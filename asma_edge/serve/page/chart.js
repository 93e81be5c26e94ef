// Scores over the last 30 seconds, one line a class, and below them the actions that were reported.

export const SPAN = 30; // seconds
export const COLOURS = 5; // then dashes, then dots: a class is never told by its colour alone
const DASHES = [[], [7, 4], [1.5, 4]];
const LEAST = 0.15; // a class that stayed below is left out of the legend
const GAP = 1; // seconds without scores, over which no line is drawn
const LANE = 22; // height of the row of actions

export class Chart {
  constructor(canvas) {
    this.canvas = canvas;
    this.rows = new Map();
    this.now = 0;
    this.labels = [];
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  /** A new source or a new connection: `hello` brings the last scores. */
  begin(hello) {
    this.labels = hello.labels;
    this.enter = hello.enter;
    this.rows.clear();
    this.now = 0;
    for (const [t, id, scores] of hello.history) this.add(t, id, scores);
  }

  /** Scores [[class, score], ...] of a person; none where the recogniser had none. */
  add(t, id, scores) {
    if (t < this.now - GAP) this.rows.clear(); // the clock was set, or a recording began again
    this.now = t;
    const rows = this.rows.get(id) ?? [];
    rows.push({ t, scores: scores.length ? new Map(scores) : null });
    while (rows[0].t < t - SPAN) rows.shift();
    this.rows.set(id, rows);
    for (const [other, old] of this.rows) if (old.at(-1).t < t - SPAN) this.rows.delete(other);
  }

  /** Classes that were likely lately, in the model's order, with their newest score: [[class, score], ...]. */
  likely(id) {
    const rows = this.rows.get(id) ?? [];
    const most = new Map();
    for (const { scores } of rows) {
      for (const [k, score] of scores ?? []) most.set(k, Math.max(most.get(k) ?? 0, score));
    }
    const newest = rows.at(-1)?.scores;
    return [...most]
      .filter(([, score]) => score >= LEAST)
      .sort((a, b) => b[1] - a[1])
      .slice(0, 6)
      .map(([k]) => [k, newest?.get(k) ?? 0])
      .sort((a, b) => a[0] - b[0]);
  }

  draw(id = this.id, actions = this.actions ?? []) {
    this.id = id;
    this.actions = actions;
    const { width, height } = this.canvas.getBoundingClientRect();
    const ratio = window.devicePixelRatio || 1;
    this.canvas.width = width * ratio;
    this.canvas.height = height * ratio;
    const c = this.canvas.getContext("2d");
    c.scale(ratio, ratio);
    const style = getComputedStyle(this.canvas);
    const colour = (name) => style.getPropertyValue(name);
    const [left, right, top, bottom] = [26, width - 8, 8, height - LANE - 24];
    const x = (t) => right - ((this.now - t) / SPAN) * (right - left);
    const y = (score) => bottom - score * (bottom - top);

    c.font = "11px system-ui, sans-serif";
    c.fillStyle = colour("--muted");
    c.strokeStyle = colour("--line");
    c.lineWidth = 1;
    for (const score of [0, 0.5, 1]) {
      rule(c, left, y(score), right, y(score));
      c.textAlign = "right";
      c.fillText(score, left - 6, y(score) + 4);
    }
    for (const ago of [30, 20, 10, 0]) {
      c.textAlign = ago === 30 ? "left" : ago ? "center" : "right";
      c.fillText(ago ? `−${ago} s` : "now", x(this.now - ago), height - 4);
    }
    if (this.enter) {
      c.strokeStyle = colour("--muted");
      c.setLineDash([2, 4]);
      rule(c, left, y(this.enter), right, y(this.enter));
      c.setLineDash([]);
    }

    c.save();
    c.beginPath();
    c.rect(left, 0, right - left + 2, height);
    c.clip();
    c.lineJoin = "round";
    const rows = this.rows.get(id) ?? [];
    for (const [k] of this.likely(id)) this.#line(c, rows, k, x, y, colour(`--c${k % COLOURS}`));
    actions.forEach((action, index) => {
      this.#bar(c, action, actions[index + 1]?.t ?? Infinity, x, bottom + 6, left, right, colour);
    });
    c.restore();
  }

  #line(c, rows, k, x, y, colour) {
    c.strokeStyle = c.fillStyle = colour;
    c.lineWidth = 2;
    c.setLineDash(DASHES[Math.floor(k / COLOURS) % DASHES.length]);
    let run = [];
    const draw = () => {
      if (run.length > 1) {
        c.beginPath();
        for (const p of run) c.lineTo(...p);
        c.stroke();
        c.lineTo(run.at(-1)[0], y(0));
        c.lineTo(run[0][0], y(0));
        c.globalAlpha = 0.08;
        c.fill();
        c.globalAlpha = 1;
      }
      run = [];
    };
    let before = -Infinity;
    for (const { t, scores } of rows) {
      if (!scores) continue;
      if (t - before > GAP) draw();
      run.push([x(t), y(scores.get(k) ?? 0)]);
      before = t;
    }
    draw();
    c.setLineDash([]);
  }

  #bar(c, action, next, x, top, left, right, colour) {
    const from = Math.max(x(action.t), left);
    const to = x(action.end ?? this.now);
    if (to <= left || from > right) return;
    const k = this.labels.indexOf(action.label);
    c.fillStyle = colour(`--c${Math.max(k, 0) % COLOURS}`);
    c.beginPath();
    c.roundRect(from, top, Math.max(to - from, 3), LANE - 6, 4);
    c.globalAlpha = 0.25;
    c.fill();
    c.globalAlpha = 1;
    c.fillRect(from, top, 3, LANE - 6);
    c.fillStyle = colour("--ink");
    c.textAlign = "left";
    const room = Math.min(to, x(next)) - from - 12;
    if (room < 12) return;
    let text = action.label;
    while (text && c.measureText(text).width > room) text = text.slice(0, -1);
    c.fillText(text === action.label || text.length < 3 ? text : `${text.slice(0, -1)}…`, from + 8, top + 12);
  }
}

function rule(c, x0, y0, x1, y1) {
  c.beginPath();
  c.moveTo(x0, y0);
  c.lineTo(x1, y1);
  c.stroke();
}
