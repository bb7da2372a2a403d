// Keeps a media element together with a room, so that everybody in it sees the same moment.
//
//   import { SignalboxClient } from "https://signalbox.example/client/client.js";
//   import { RoomPlayer } from "https://signalbox.example/client/rooms.js";
//   const joined = await client.call("room.join", { id });
//   const player = new RoomPlayer(client, joined, video, { load: (itemId) => (video.src = addressOf(itemId)) });
//   player.on("blocked", () => (button.hidden = false)); // a click on it calls player.resync()
//   await player.start();
//
// Handlers: `state` (that of the room, when it changes), `report` (what this member tells the room), `blocked` (the
// browser lets this page play only after a click), `lagging` (seeking did not help: left alone until `resync`) and
// `failed` (an error of `load`).

import { DriftLoop, ServerClock, TICK_MS } from "./following.js";

const PINGS = 5;
const PING_GAP_MS = 200;
const PING_EVERY_MS = 20_000;
const ASLEEP_MS = 5000; // without a tick for so long, the clock may have stood still
const REPORT_EVERY_MS = 5000;
const OFFSET_MAX_MS = 10_000;

const CLOCK = {
  now: () => performance.now(),
  after(milliseconds, act) {
    const timer = setTimeout(act, milliseconds);
    return () => clearTimeout(timer);
  },
};

/** A member's player of a room: it follows the state of the room, reports to it, and controls it. */
export class RoomPlayer {
  #client;
  #clock;
  #load;
  #joined;
  #channel;
  #server = new ServerClock();
  #loop;
  #handlers = new Map(); // type -> Set of functions
  #offs = []; // what ends this
  #timers = new Map(); // name -> function that cancels it
  #isReporting = false;
  #wasLagging = false;
  #tickedAt = null;
  #told = "";
  #toldAt = -Infinity;
  #caused = 0; // the epoch of the last command here; its event may come after its answer

  /**
   * `client` is a connected SignalboxClient, `joined` the answer to `room.join`. `load` is called with the id of each
   * new item and gives the element its source; it may return a promise. `mode` is strict, relaxed or free. With
   * `offsetMs` (within ±10,000) this member is so far ahead of the room.
   */
  constructor(client, joined, element, { load, mode = "strict", offsetMs = 0, clock = CLOCK }) {
    this.#client = client;
    this.#clock = clock;
    this.#load = load;
    this.#joined = joined;
    this.#channel = `room:${joined.room.id}`;
    this.#loop = new DriftLoop(element, () => this.#emit("blocked"));
    this.mode = mode;
    this.offsetMs = offsetMs;
    element.preservesPitch = true;
  }

  /** Follow the room, and be present in it, until `stop`. Resolves once its channel is followed. */
  async start() {
    const { document } = globalThis;
    const seen = () => document.visibilityState === "visible" && this.#wake();
    document?.addEventListener("visibilitychange", seen);
    this.#offs = [
      () => document?.removeEventListener("visibilitychange", seen),
      this.#client.on("event", ({ stream, event }) => {
        if (stream === this.#channel && event.type === "room.state") this.#take(event.data);
      }),
      this.#client.on("resync", ({ stream }) => stream === this.#channel && this.#ask()),
      this.#client.on("connected", () => this.#wake()),
    ];
    this.#take(this.#joined.room.state);
    this.#wake();
    this.#pingLater();
    await Promise.all([
      this.#client.subscribe(this.#channel, { since: this.#joined.offset }),
      this.#client.bePresent(`presence:${this.#channel}`),
    ]);
  }

  /** Follow the room no longer. The element stays as it is; the member is in the room for as long as a slot is kept. */
  stop() {
    for (const off of this.#offs) off();
    for (const cancel of this.#timers.values()) cancel();
    this.#offs = [];
    this.#timers.clear();
    for (const channel of [this.#channel, `presence:${this.#channel}`])
      this.#client.unsubscribe(channel).catch(() => {});
  }

  /** Call `handler` with everything of this type. Returns a function that removes it. */
  on(type, handler) {
    if (!this.#handlers.has(type)) this.#handlers.set(type, new Set());
    this.#handlers.get(type).add(handler);
    return () => this.#handlers.get(type).delete(handler);
  }

  /**
   * Play, pause, seek, … for everybody: `control("seek", { position_ms: 60_000 })`. Rejects with Refused;
   * `stale_epoch` if somebody else was quicker.
   */
  async control(action, fields = {}) {
    const epoch = Math.max(this.state.epoch, this.#caused);
    try {
      const caused = await this.#client.call("room.control", { id: this.#joined.room.id, action, epoch, ...fields });
      this.#caused = caused.epoch;
      return caused;
    } catch (error) {
      if (error.code === "stale_epoch") this.#take(error.extra.state);
      throw error;
    }
  }

  /** Come back to where the room is: after `lagging`, and from a click after `blocked`. */
  resync() {
    this.#loop.resync();
    this.#tick(); // at once: the browser allows play() inside the click only
  }

  /** The state of the room. */
  get state() {
    return this.#loop.state ?? this.#joined.room.state;
  }

  get mode() {
    return this.#loop.mode;
  }

  set mode(mode) {
    this.#loop.mode = mode;
  }

  get offsetMs() {
    return this.#loop.offsetMs;
  }

  set offsetMs(milliseconds) {
    this.#loop.offsetMs = Math.max(-OFFSET_MAX_MS, Math.min(OFFSET_MAX_MS, Math.round(milliseconds)));
  }

  // The room

  #take(state) {
    const before = this.#loop.state?.item_id ?? null;
    if (!this.#loop.follow(state)) return;
    if (state.item_id !== null && state.item_id !== before) this.#bring(state.item_id);
    this.#emit("state", state);
    this.#after("tick", 0, () => this.#tick());
  }

  async #bring(itemId) {
    try {
      await this.#load(itemId);
      if (this.state.item_id === itemId) this.#loop.loaded();
    } catch (error) {
      this.#emit("failed", error);
    }
  }

  async #ask() {
    const room = await this.#client.call("room.get", { id: this.#joined.room.id }).catch(() => null);
    if (room) this.#take(room.state);
  }

  // The loop

  #tick() {
    const now = this.#clock.now();
    if (this.#tickedAt !== null && now - this.#tickedAt >= ASLEEP_MS) this.#wake();
    this.#tickedAt = now;
    let waitMs = TICK_MS;
    if (this.#server.isKnown) {
      waitMs = this.#loop.tick(now, this.#server.at(now));
      this.#report(now);
      if (this.#loop.isLagging && !this.#wasLagging) this.#emit("lagging");
      this.#wasLagging = this.#loop.isLagging;
    }
    this.#after("tick", waitMs, () => this.#tick());
  }

  /** Report every 5 s, and when something changes that others wait for. */
  async #report(now) {
    const report = this.#loop.report();
    const { epoch, item_id, buffering, ready, ended, sync } = report;
    const told = JSON.stringify([epoch, item_id, buffering, ready, ended, sync]);
    if (this.#isReporting || (told === this.#told && now - this.#toldAt < REPORT_EVERY_MS)) return;
    this.#isReporting = true;
    this.#told = told;
    this.#toldAt = now;
    this.#emit("report", report);
    const rtt_ms = Math.round(this.#server.rttMs);
    const params = { id: this.#joined.room.id, ...report, rtt_ms };
    await this.#client.call("room.report", params, null).catch(() => {}); // the next one comes soon
    this.#isReporting = false;
  }

  // The clock

  /** Measure anew: at first, on another connection, and when this may have slept. */
  #wake() {
    this.#server.doubt();
    for (let i = 0; i < PINGS; i++) this.#after(`ping ${i}`, i * PING_GAP_MS, () => this.#ping());
  }

  #pingLater() {
    this.#after("ping", PING_EVERY_MS, () => {
      this.#ping();
      this.#pingLater();
    });
  }

  async #ping() {
    const sent = this.#clock.now();
    try {
      const pong = await this.#client.ping(sent);
      const isFirst = !this.#server.isKnown;
      this.#server.take(sent, pong.received, pong.sent, this.#clock.now());
      if (isFirst) this.#after("tick", 0, () => this.#tick());
    } catch {} // not connected: another follows the next connection
  }

  // Small things

  #after(name, milliseconds, act) {
    this.#timers.get(name)?.();
    this.#timers.set(name, this.#clock.after(milliseconds, act));
  }

  #emit(type, what) {
    for (const handler of [...(this.#handlers.get(type) ?? [])]) {
      try {
        handler(what);
      } catch (error) {
        setTimeout(() => {
          throw error; // a bug of the handler, not of this player
        });
      }
    }
  }
}
