// Draws skeletons: in metres from the front and the side, in pixels as the camera sees them.

const TRAIL = 14; // frames for which a wrist leaves a trace
const CALM = 0.03; // part of the way that the frame of the picture shrinks towards the people, each message

export class Stage {
  constructor(canvas) {
    this.canvas = canvas;
    this.side = true;
    this.mirror = false;
    this.people = [];
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  /** A new source: `hello` names its joints and bones. */
  begin(hello) {
    const joint = (name) => hello.joints.indexOf(name);
    this.flat = hello.units === "pixels";
    this.edges = hello.edges;
    this.right = hello.joints.map((name) => name.startsWith("right_"));
    this.head = Math.max(joint("head"), joint("nose"));
    this.shoulders = [joint("left_shoulder"), joint("right_shoulder")];
    this.torso = ["left_shoulder", "right_shoulder", "right_hip", "left_hip"].map(joint);
    this.wrists = [joint("left_wrist"), joint("right_wrist")].filter((index) => index >= 0);
    this.people = [];
    this.trails = new Map();
    this.box = null;
  }

  /** People of a frame: [{id, name, colour, points: [[x, y, z] or null, ...]}]. */
  show(people) {
    this.people = people;
    const before = this.trails;
    this.trails = new Map();
    for (const { id, points } of people) {
      for (const wrist of id === undefined ? [] : this.wrists) {
        const key = `${id}/${wrist}`;
        this.trails.set(key, [...(before.get(key) ?? []), points[wrist]].slice(-TRAIL));
      }
    }
    this.#fit(people.flatMap((person) => person.points.filter(Boolean)));
    this.draw();
  }

  /** The extent of all joints, which grows at once and shrinks slowly: the picture must not shake. */
  #fit(points) {
    if (!points.length) return;
    const low = [0, 1, 2].map((axis) => Math.min(...points.map((p) => p[axis] ?? 0)));
    const high = [0, 1, 2].map((axis) => Math.max(...points.map((p) => p[axis] ?? 0)));
    if (!this.box) this.box = { low: [...low], high: [...high] };
    for (let axis = 0; axis < 3; axis++) {
      const { low: l, high: h } = this.box;
      l[axis] = Math.min(low[axis], l[axis] + CALM * (low[axis] - l[axis]));
      h[axis] = Math.max(high[axis], h[axis] + CALM * (high[axis] - h[axis]));
    }
  }

  draw() {
    const { width, height } = this.canvas.getBoundingClientRect();
    const ratio = window.devicePixelRatio || 1;
    this.canvas.width = width * ratio;
    this.canvas.height = height * ratio;
    if (!this.box) return;
    const c = this.canvas.getContext("2d");
    c.scale(ratio, ratio);
    const two = this.side && !this.flat;
    const size = [0, 1, 2].map((axis) => Math.max(this.box.high[axis] - this.box.low[axis], 1e-6));
    const [front, side] = [0, 2].map((axis) => Math.max(size[axis], 0.7 * size[1]));
    const split = two ? (width * front) / (front + side) : width;
    const room = (axis, wide) => (0.8 * wide) / Math.max(size[axis], 0.4 * size[1]);
    const scale = Math.min((height - 84) / size[1], room(0, split), two ? room(2, width - split) : Infinity);
    const title = this.flat ? "as the camera sees it" : "front";
    this.#view(c, 0, split, height, 0, scale, `${title} (paler: the right side)`);
    if (two) this.#view(c, split, width - split, height, 2, scale, "side (camera on the left)");
  }

  /** One view: `axis` of the box lies across, y always up; `scale` in CSS pixels a unit. */
  #view(c, left, width, height, axis, scale, title) {
    const style = getComputedStyle(this.canvas);
    const { low, high } = this.box;
    // In metres x is larger on the right of a person who faces the camera: on the left of what it sees.
    const across = axis === 2 || this.flat !== this.mirror ? 1 : -1;
    const up = this.flat ? 1 : -1;
    const mid = (a) => (low[a] + high[a]) / 2;
    const tall = (high[1] - low[1]) * scale;
    const ground = Math.min(height - 18, (height + tall) / 2 + 44);
    const at = (p) => p && [
      left + width / 2 + across * (p[axis] - mid(axis)) * scale,
      ground - 10 - tall / 2 + up * (p[1] - mid(1)) * scale,
    ];
    c.strokeStyle = style.getPropertyValue("--line");
    c.lineWidth = 1;
    c.beginPath();
    c.moveTo(left + 12, ground);
    c.lineTo(left + width - 12, ground);
    c.stroke();
    c.fillStyle = style.getPropertyValue("--muted");
    c.font = "12px system-ui, sans-serif";
    c.textAlign = "left";
    c.fillText(title, left + 12, 14);
    for (const person of this.people) this.#person(c, style, person, at, tall, axis === 0);
  }

  #person(c, style, person, at, body, named) {
    const points = person.points.map(at);
    const colour = style.getPropertyValue(person.colour);
    const thick = Math.max(3, Math.min(8, body / 42));
    c.strokeStyle = c.fillStyle = colour;
    c.lineCap = c.lineJoin = "round";
    for (const wrist of this.wrists) {
      const trail = (this.trails.get(`${person.id}/${wrist}`) ?? []).map(at);
      for (let i = 1; i < trail.length; i++) {
        if (trail[i - 1] && trail[i]) line(c, trail[i - 1], trail[i], thick, (0.3 * i) / trail.length);
      }
    }
    const torso = this.torso.map((index) => points[index]);
    if (torso.every(Boolean)) {
      c.globalAlpha = 0.14;
      c.beginPath();
      torso.forEach((p) => c.lineTo(...p));
      c.fill();
    }
    for (const [a, b] of this.edges) {
      const pale = this.right[a] || this.right[b];
      if (points[a] && points[b]) line(c, points[a], points[b], thick, pale ? 0.55 : 1);
    }
    c.globalAlpha = 1;
    c.fillStyle = style.getPropertyValue("--card");
    c.lineWidth = Math.max(1.2, thick / 3);
    points.forEach((p, index) => {
      if (!p || index === this.head) return;
      disc(c, p, thick * 0.55);
      c.stroke();
    });
    const head = points[this.head];
    if (head) {
      c.fillStyle = colour;
      disc(c, head, Math.max(thick * 1.4, body / 17));
    }
    if (named && person.name && head) {
      c.fillStyle = style.getPropertyValue("--ink");
      c.font = "600 13px system-ui, sans-serif";
      c.textAlign = "center";
      c.fillText(person.name, head[0], head[1] - body / 17 - 8);
    }
  }
}

function line(c, from, to, width, alpha) {
  c.globalAlpha = alpha;
  c.lineWidth = width;
  c.beginPath();
  c.moveTo(...from);
  c.lineTo(...to);
  c.stroke();
}

function disc(c, p, radius) {
  c.beginPath();
  c.arc(p[0], p[1], radius, 0, 2 * Math.PI);
  c.fill();
}
