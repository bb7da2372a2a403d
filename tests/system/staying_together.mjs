// Ten simulated members watch for twenty minutes, driven by the shipped RoomPlayer in virtual time. The figures go to
// standard output as JSON. The same world as in `tests/support/staying_together.py`: with the same seed, the same figures.
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [, , folder, seedText, rule = "player", traceEvery] = process.argv;
const { RoomPlayer } = await import(pathToFileURL(join(folder, "rooms.js")));

const MEMBERS = 10;
const MEDIA_MS = 1_200_000;
const DELAY_MS = [10, 120];
const START_MS = [50, 400];
const START_VARIES = [0.8, 1.2]; // around what this member usually takes
const STALL_MS = [300, 3000];
const STALL_EVERY_MS = [100_000, 200_000];
const SAMPLE_MS = 100;
const SKEW = 50e-6;
const SERVER_EPOCH = 1_790_000_000_000;

/** Mulberry32: numbers from 0 to 1, the same in every language. */
function random(seed) {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), a | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
const between = (draw, [least, most]) => least + (most - least) * draw();

/** Virtual time: what is due next happens next. */
class World {
  now = 0;
  #queue = [];
  #last = 0;
  #hasSettled = false;

  at(when, act) {
    const entry = { when, order: this.#last++, act };
    let i = this.#queue.length++;
    for (; i > 0; ) {
      const parent = (i - 1) >> 1;
      if (!before(entry, this.#queue[parent])) break;
      this.#queue[i] = this.#queue[parent];
      i = parent;
    }
    this.#queue[i] = entry;
    return () => (entry.act = null);
  }

  /** A promise that is kept after so many milliseconds. */
  later(milliseconds, make) {
    return new Promise((keep) =>
      this.at(this.now + milliseconds, () => {
        keep(make());
        this.#hasSettled = true;
      }),
    );
  }

  async run(until) {
    while (this.#queue.length && this.#queue[0].when <= until) {
      const { when, act } = this.#pop();
      if (!act) continue;
      this.now = when;
      act();
      if (this.#hasSettled) {
        this.#hasSettled = false;
        await new Promise(setImmediate); // everybody who waited for the promise goes on, before time does
      }
    }
  }

  #pop() {
    const queue = this.#queue;
    const top = queue[0];
    const last = queue.pop();
    if (!queue.length) return top;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= queue.length) break;
      if (child + 1 < queue.length && before(queue[child + 1], queue[child])) child += 1;
      if (!before(queue[child], last)) break;
      queue[i] = queue[child];
      i = child;
    }
    queue[i] = last;
    return top;
  }
}
const before = (a, b) => a.when < b.when || (a.when === b.when && a.order < b.order);

/** A media element that takes its time to start and to seek, and stalls now and then. */
class Element {
  preservesPitch = false;
  ended = false;
  duration = 3600;
  seeks = 0;
  #world;
  #latency;
  #stalls;
  #position = 0; // seconds
  #rate = 1;
  #isPaused = true;
  #at = 0; // the world's time up to which #position counts
  #blockedUntil = 0;
  #seekingUntil = 0;
  #stalledUntil = 0;
  #nextStall;
  bentMs = 0;
  playedMs = 0;

  constructor(world, latency, stalls) {
    this.#world = world;
    this.#latency = latency;
    this.#stalls = stalls;
    this.#nextStall = between(stalls, STALL_EVERY_MS);
  }

  #advance() {
    const { now } = this.#world;
    for (;;) {
      const begin = Math.max(this.#at, this.#blockedUntil);
      const end = Math.min(now, this.#nextStall);
      if (end > begin && !this.#isPaused) {
        this.#position += (this.#rate * (end - begin)) / 1000;
        this.playedMs += end - begin;
        if (this.#rate !== 1) this.bentMs += end - begin;
      }
      this.#at = Math.max(this.#at, end);
      if (now < this.#nextStall) return;
      this.#stalledUntil = this.#nextStall + between(this.#stalls, STALL_MS);
      this.#blockedUntil = Math.max(this.#blockedUntil, this.#stalledUntil);
      this.#nextStall = this.#stalledUntil + between(this.#stalls, STALL_EVERY_MS);
    }
  }

  get currentTime() {
    this.#advance();
    return this.#position;
  }

  set currentTime(seconds) {
    this.#advance();
    this.seeks += 1;
    this.#position = seconds;
    this.#seekingUntil = this.#world.now + this.#latency();
    this.#blockedUntil = Math.max(this.#blockedUntil, this.#seekingUntil);
  }

  get playbackRate() {
    return this.#rate;
  }

  set playbackRate(rate) {
    this.#advance();
    this.#rate = rate;
  }

  get paused() {
    return this.#isPaused;
  }

  get seeking() {
    return this.#world.now < this.#seekingUntil;
  }

  get isStalled() {
    this.#advance();
    return this.#world.now < this.#stalledUntil;
  }

  get readyState() {
    return this.isStalled ? 2 : 4;
  }

  get buffered() {
    return { length: 1, start: () => 0, end: () => this.currentTime + (this.isStalled ? 0.5 : 10) };
  }

  play() {
    this.#advance();
    this.#isPaused = false;
    this.#blockedUntil = Math.max(this.#blockedUntil, this.#world.now + this.#latency());
    return Promise.resolve();
  }

  pause() {
    this.#advance();
    this.#isPaused = true;
  }
}

/** The server's side of a room. It knows the true time, and starts when all are ready or after 8 s. */
class Room {
  state = { status: "loading", item_id: "film", epoch: 1, anchor_position_ms: 0, anchor_at: iso(0), rate: 1 };
  #world;
  #members = new Map(); // name -> what the last report said
  #followers = [];

  constructor(world) {
    this.#world = world;
    world.at(8000, () => this.#start());
  }

  follow(hear) {
    this.#followers.push(hear);
  }

  reported(name, report) {
    this.#members.set(name, report);
    const told = [...this.#members.values()];
    if (told.filter(({ ready, epoch }) => ready && epoch === this.state.epoch).length === MEMBERS) this.#start();
  }

  positionMs() {
    const { status, anchor_position_ms, anchor_at } = this.state;
    const played = this.#world.now + SERVER_EPOCH - Date.parse(anchor_at);
    return anchor_position_ms + (status === "playing" ? Math.max(0, played) : 0);
  }

  #start() {
    if (this.state.status === "loading") this.play(this.state.anchor_position_ms);
  }

  play(anchor_position_ms) {
    const rtts = [...this.#members.values()].map(({ rtt_ms }) => rtt_ms);
    const lead = Math.min(1500, Math.max(300, Math.max(...rtts) + 150));
    this.change({ status: "playing", anchor_position_ms, anchor_at: iso(this.#world.now + lead) });
  }

  pause() {
    this.change({ status: "paused", anchor_position_ms: Math.round(this.positionMs()), anchor_at: iso(this.#world.now) });
  }

  change(fields) {
    this.state = { ...this.state, epoch: this.state.epoch + 1, ...fields };
    for (const hear of this.#followers) hear(this.state);
  }
}
const iso = (at) => new Date(SERVER_EPOCH + Math.round(at)).toISOString();

/** What a RoomPlayer needs of a client, over a network that delays each message differently. */
class Client {
  #world;
  #room;
  #name;
  #delays;
  #handlers = {};

  constructor(world, room, name, delays) {
    this.#world = world;
    this.#room = room;
    this.#name = name;
    this.#delays = delays;
    this.heardAt = 0;
    room.follow((state) => {
      // In order, as over any one connection.
      this.heardAt = Math.max(this.heardAt, world.now + delays.events());
      world.at(this.heardAt, () =>
        this.#handlers.event?.({ stream: "room:1", offset: state.epoch, event: { type: "room.state", data: state } }),
      );
    });
  }

  on(type, handler) {
    this.#handlers[type] = handler;
    return () => delete this.#handlers[type];
  }

  subscribe() {
    return this.#world.later(this.#delays.calls() * 2, () => ({}));
  }

  bePresent() {
    return Promise.resolve({});
  }

  async ping(time) {
    const said = await this.#world.later(this.#delays.up(), () => SERVER_EPOCH + Math.round(this.#world.now));
    return this.#world.later(this.#delays.down(), () => ({ time, received: said, sent: said }));
  }

  call(method, params) {
    return this.#world.later(this.#delays.calls(), () => method === "room.report" && this.#room.reported(this.#name, params));
  }
}

/** What most rooms do: whoever is more than a second off seeks, and nobody else does anything. */
class SeekBeyondOneSecond {
  constructor(world, client, element, clock) {
    this.state = null;
    client.on("event", ({ event }) => (this.state = event.data));
    const tick = () => {
      if (this.state) this.tick(element, world.now + SERVER_EPOCH);
      clock.after(250, tick);
    };
    client.call("room.report", { ready: true, epoch: 1, rtt_ms: 130 }).then(tick);
  }

  tick(element, serverNow) {
    const { status, anchor_position_ms, anchor_at } = this.state;
    if (status !== "playing") {
      if (!element.paused) element.pause();
      if (element.currentTime * 1000 !== anchor_position_ms) element.currentTime = anchor_position_ms / 1000;
      return;
    }
    const target = anchor_position_ms + Math.max(0, serverNow - Date.parse(anchor_at));
    if (element.paused && serverNow >= Date.parse(anchor_at)) element.play();
    if (Math.abs(target - element.currentTime * 1000) > 1000 && !element.isStalled) element.currentTime = target / 1000;
  }
}

const seed = Number(seedText);
const world = new World();
const room = new Room(world);
const members = Array.from({ length: MEMBERS }, (_, i) => {
  const draws = (what) => random(seed * 10_007 + i * 101 + what);
  const floors = draws(0);
  const range = () => [between(floors, [DELAY_MS[0], 40]), DELAY_MS[1]];
  const delay = (what) => {
    const draw = draws(what);
    const own = range();
    return () => between(draw, own);
  };
  const delays = { up: delay(1), down: delay(2), events: delay(3), calls: delay(4) };
  const latencies = draws(5);
  const usual = between(latencies, START_MS);
  const latency = () => Math.min(START_MS[1], Math.max(START_MS[0], usual * between(latencies, START_VARIES)));
  const element = new Element(world, latency, draws(6));
  const client = new Client(world, room, `member ${i}`, delays);
  const speed = 1 + between(draws(7), [-SKEW, SKEW]);
  const clock = {
    now: () => world.now * speed + 1000 * i,
    after: (milliseconds, act) => world.at(world.now + milliseconds / speed, act),
  };
  const seen = { element, lagging: 0 };
  if (rule === "player") {
    const joined = { room: { id: "1", state: room.state }, offset: 1 };
    const player = new RoomPlayer(client, joined, element, { load: () => {}, clock });
    player.on("lagging", () => {
      seen.lagging += 1;
      world.at(world.now + 10_000, () => player.resync()); // somebody presses the button
    });
    player.start();
  } else new SeekBeyondOneSecond(world, client, element, clock);
  return seen;
});

world.at(300_000, () => room.play(room.positionMs() + 60_000));
world.at(600_000, () => room.pause());
world.at(610_000, () => room.play(room.state.anchor_position_ms));
world.at(900_000, () => room.play(room.positionMs() - 60_000));

const spreads = [];
const all = [];
const trace = [];
const look = () => {
  const playing = members.filter(({ element }) => !element.isStalled);
  if (room.state.status === "playing" && world.now >= Date.parse(room.state.anchor_at) - SERVER_EPOCH) {
    const positions = playing.map(({ element }) => element.currentTime);
    const everybody = members.map(({ element }) => element.currentTime);
    spreads.push(Math.max(...positions) - Math.min(...positions));
    all.push(Math.max(...everybody) - Math.min(...everybody));
    if (traceEvery) trace.push([world.now / 1000, spreads.at(-1)]);
  }
  world.at(world.now + SAMPLE_MS, look);
};
world.at(SAMPLE_MS, look);
await world.run(MEDIA_MS);

const part = (values, share) => values.toSorted((a, b) => a - b)[Math.floor(share * (values.length - 1))];
const sum = (of) => members.reduce((total, member) => total + of(member), 0);
console.log(
  JSON.stringify({
    p50: part(spreads, 0.5),
    p95: part(spreads, 0.95),
    p95_with_stalled: part(all, 0.95),
    bent: sum(({ element }) => element.bentMs) / sum(({ element }) => element.playedMs),
    seeks_per_hour: sum(({ element }) => element.seeks) / MEMBERS / (MEDIA_MS / 3_600_000),
    lagging: sum(({ lagging }) => lagging),
    ...(traceEvery ? { trace } : {}),
  }),
);
process.exit(0);
