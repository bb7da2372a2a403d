// How a member of a room stays where the room is: the server's clock, and the loop that brings an element to it.
//
// Times are in milliseconds, those of the element in seconds. Neither class knows timers or the network, so anything
// can drive them. The client in Python has the same loop in `following.py`.

export const TICK_MS = 250;
const WINDOW = 8;
const DEAD_BAND_MS = 30;
const CLOSE_MS = 10; // once correcting, until this close
const BEND_MAX = 0.1;
const CATCH_UP_MS = 500; // what is left is halved in about this time
const SEEK_FROM_MS = { strict: 600, relaxed: 3000, free: Infinity };
const STIFF_SEEK_FROM_MS = 400; // of an element that knows no fractional rates
const SEEK_GAP_MS = 5000; // twice that before the next one
const SEEKS_MAX = 3;
const SEEKS_WITHIN_MS = 60_000;
const COST_MAX_MS = 1000;
const COST_WEIGHT = 0.3;
const READY_WITHIN_MS = 500;
const READY_AHEAD_MS = 2000;
const STUCK_MS = 500;
const NOTHING = { currentTime: 0, playbackRate: 1, duration: NaN };

/**
 * The server's clock, by the last 8 pings. Of all ways there the shortest counts, and of all ways back. The error is
 * half of their difference.
 */
export class ServerClock {
  #samples = [];
  #offset = null; // from our clock to the server's
  rttMs = null;

  /** Take a ping: when it was sent and answered on our clock, and received and answered on the server's. */
  take(sent, received, answered, back) {
    this.#samples.push({ most: received - sent, least: answered - back, rtt: back - sent - (answered - received) });
    if (this.#samples.length > WINDOW) this.#samples.shift();
    const of = (name) => this.#samples.map((sample) => sample[name]);
    this.#offset = (Math.min(...of("most")) + Math.max(...of("least"))) / 2;
    this.rttMs = Math.max(0, Math.min(...of("rtt"))); // the server tells whole milliseconds
  }

  /** Our clock may have been stopped: once there is another ping, only pings from now on count. */
  doubt() {
    this.#samples = [];
  }

  get isKnown() {
    return this.#offset !== null;
  }

  /** The server's time at `local` of our clock. */
  at(local) {
    return local + this.#offset;
  }
}

/** The loop that brings one element to where its room is. Knows no timers and no network. */
export class DriftLoop {
  mode = "strict"; // strict, relaxed or free: how far off it seeks
  offsetMs = 0; // this member sees so much later a moment than the room
  state = null;
  isLoaded = false;
  isBlocked = false;
  isLagging = false;
  driftMs = null; // how far the room is ahead of the element, while both play
  isBuffering = false;
  isReady = false;
  isEnded = false;
  #element;
  #refused;
  #costs = { start: { ms: 200, isKnown: false }, seek: { ms: 300, isKnown: false } };
  #settling = null; // a start or seek that does not show yet
  #anchorAt = 0;
  #held = null; // where the element was brought while the room stands
  #position = 0; // of the element at the last tick
  #movedAt = 0;
  #isBending = false;
  #canBend = true;
  #seeks = []; // when the last ones were

  /** `refused` is called when the browser does not let the element play. */
  constructor(element, refused = () => {}) {
    this.#element = element;
    this.#refused = refused;
  }

  /** Take a state of the room, unless it is older than the present one. Returns whether it was taken. */
  follow(state) {
    if (this.state !== null && state.epoch < this.state.epoch) return false;
    if (state.epoch !== this.state?.epoch) this.resync();
    if (state.item_id !== this.state?.item_id) {
      this.isLoaded = false;
      if (!this.#element.paused) this.#element.pause();
    }
    this.state = state;
    this.#anchorAt = Date.parse(state.anchor_at);
    this.#held = null;
    return true;
  }

  /** The element has the item of the present state. */
  loaded() {
    this.isLoaded = true;
    this.#held = null;
  }

  /** Come back at once: forget that this member was lagging or blocked. */
  resync() {
    this.isLagging = this.isBlocked = false;
    this.#seeks = [];
  }

  /** Bring the element closer. Returns after how many milliseconds to call this again, at the latest. */
  tick(now, serverNow) {
    this.driftMs = null;
    this.isEnded = this.isReady = this.isBuffering = false;
    if (!this.isLoaded || this.isBlocked) return TICK_MS;
    const position = this.#element.currentTime;
    const isMoving = position !== this.#position && canGoOn(this.#element);
    this.#position = position;
    if (isMoving) this.#movedAt = now;
    const { status, rate, anchor_position_ms } = this.state;
    const anchor = anchor_position_ms + this.offsetMs;
    const first = Math.max(0, anchor);
    const targetIn = (waitMs) => anchor + rate * (serverNow + waitMs - this.#anchorAt);
    const earlyMs = status === "playing" ? (first - targetIn(this.#costs.start.ms)) / rate : Infinity;
    if (earlyMs > 0) {
      this.#hold(now, first);
      return Math.min(earlyMs, TICK_MS);
    }
    this.#play(now, isMoving, targetIn);
    this.isBuffering = !this.isEnded && now - this.#movedAt >= STUCK_MS;
    this.isReady = !this.isBuffering;
    return TICK_MS;
  }

  /** What to tell the room. Before the item is loaded, the element may still have the one before. */
  report() {
    const { epoch, item_id } = this.state;
    const { currentTime, playbackRate, duration } = this.isLoaded ? this.#element : NOTHING;
    return {
      epoch,
      item_id,
      position_ms: Math.max(0, Math.round(currentTime * 1000) - this.offsetMs),
      rate: playbackRate,
      drift_ms: this.driftMs === null ? null : Math.round(this.driftMs),
      buffering: this.isBuffering,
      ready: this.isReady,
      ended: this.isEnded,
      duration_ms: Number.isFinite(duration) ? Math.round(duration * 1000) : null,
      sync: this.isLagging ? "lagging" : this.mode,
    };
  }

  #hold(now, positionMs) {
    const element = this.#element;
    if (!element.paused) element.pause();
    this.#bend(0);
    this.#settling = null;
    this.#movedAt = now;
    const offMs = Math.abs(element.currentTime * 1000 - positionMs);
    // Once: an element that cannot go there exactly would be sent there for ever.
    if (this.#held !== positionMs && offMs > CLOSE_MS) element.currentTime = positionMs / 1000;
    this.#held = positionMs;
    this.isReady = canGoOn(element) && offMs <= READY_WITHIN_MS && aheadMs(element) >= READY_AHEAD_MS;
  }

  #play(now, isMoving, targetIn) {
    const element = this.#element;
    const lastMs = Number.isFinite(element.duration) ? element.duration * 1000 : Infinity;
    const leftMs = lastMs - targetIn(0);
    const isAtEnd = element.currentTime * 1000 >= lastMs - CLOSE_MS;
    if (leftMs <= 0 || (element.paused && isAtEnd && leftMs < READY_WITHIN_MS)) {
      this.isEnded = element.paused || isAtEnd;
      return this.#bend(0);
    }
    if (element.paused) return this.#begin(now, targetIn);
    if (this.#settling && !canGoOn(element)) this.#settling.isSpoiled = true;
    if (!isMoving) return;
    const driftMs = (this.driftMs = targetIn(0) - element.currentTime * 1000);
    if (this.#settling) this.#learn(driftMs / this.state.rate);
    if (Math.abs(driftMs) >= this.#seekFromMs() && this.#maySeek(now)) this.#seek(targetIn);
    else this.#bend(this.#correction(driftMs));
  }

  #seekFromMs() {
    if (this.isLagging) return Infinity;
    return this.mode === "strict" && !this.#canBend ? STIFF_SEEK_FROM_MS : SEEK_FROM_MS[this.mode];
  }

  #correction(driftMs) {
    if (this.isLagging || this.mode === "free") return 0;
    this.#isBending = Math.abs(driftMs) >= (this.#isBending ? CLOSE_MS : DEAD_BAND_MS);
    return this.#isBending ? Math.max(-BEND_MAX, Math.min(BEND_MAX, driftMs / CATCH_UP_MS)) : 0;
  }

  #begin(now, targetIn) {
    const element = this.#element;
    const usedMs = this.#costs.start.ms;
    this.#movedAt = now;
    this.#bend(0);
    if (Math.abs(targetIn(usedMs) - element.currentTime * 1000) > 2 * DEAD_BAND_MS) this.#seek(targetIn);
    else this.#settling = { kind: "start", usedMs, isSpoiled: !canGoOn(element) };
    this.#position = element.currentTime;
    element.play()?.catch((error) => {
      if (error.name !== "NotAllowedError") return; // a pause or another load came between
      this.isBlocked = true;
      this.#refused();
    });
  }

  #seek(targetIn) {
    const usedMs = this.#costs.seek.ms;
    this.#bend(0);
    this.#settling = { kind: "seek", usedMs };
    this.#element.currentTime = Math.max(0, targetIn(usedMs)) / 1000;
    this.#position = this.#element.currentTime;
  }

  #maySeek(now) {
    this.#seeks = this.#seeks.filter((at) => now - at < SEEKS_WITHIN_MS);
    const count = this.#seeks.length;
    this.isLagging = count >= SEEKS_MAX;
    if (this.isLagging || (count && now - this.#seeks[count - 1] < SEEK_GAP_MS * 2 ** (count - 1))) return false;
    this.#seeks.push(now);
    return true;
  }

  /** What a start or seek costs shows in how far off it ended. */
  #learn(lateMs) {
    const { kind, usedMs, isSpoiled } = this.#settling;
    this.#settling = null;
    if (kind === "start" && isSpoiled) return; // of a seek, waiting for data is a part
    const cost = this.#costs[kind];
    const weight = cost.isKnown ? COST_WEIGHT : 1;
    cost.ms += weight * (Math.max(0, Math.min(COST_MAX_MS, usedMs + lateMs)) - cost.ms);
    cost.isKnown = true;
  }

  /** Play faster or slower than the room by this part of its rate, in whole hundredths. */
  #bend(by) {
    if (!by) this.#isBending = false;
    const wanted = by ? (this.state.rate * Math.floor(100 * (1 + by) + 0.5)) / 100 : this.state.rate;
    if (this.#element.playbackRate === wanted || (by && !this.#canBend)) return;
    try {
      this.#element.playbackRate = wanted;
    } catch {} // NotSupportedError
    if (by && this.#element.playbackRate !== wanted) this.#canBend = false;
  }
}

/** Whether the element has what it needs to play on. */
function canGoOn(element) {
  return element.readyState >= 3 && !element.seeking;
}

/** How much is buffered from the present position on; without end if that is the rest. */
function aheadMs({ buffered, currentTime, duration }) {
  for (let i = 0; i < buffered.length; i++)
    if (buffered.start(i) <= currentTime && currentTime <= buffered.end(i))
      return duration - buffered.end(i) < 0.1 ? Infinity : (buffered.end(i) - currentTime) * 1000;
  return 0;
}
