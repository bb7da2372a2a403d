// A client of live connections for browsers and Node.js. It reconnects, and resumes where it was cut off.
//
//   import { SignalboxClient } from "https://signalbox.example/client.js";
//   const client = new SignalboxClient("https://signalbox.example", { token: async () => accessToken });
//   client.on("event", ({ stream, offset, event }) => show(event));
//   await client.connect();
//   await client.subscribe("workspace:…");
//
// Handlers: `event`, `value`, `presence`, `resync`, `unsubscribed` (frames of the server), `subscribed` (a channel is
// followed; at first and after every reconnection), `connected`, `lost` ({code}) and `stopped` (an error).

const ANSWER_MS = 30_000;
const CONNECT_MS = 15_000;
const BACK_OFF_MS = [500, 20_000];
const STABLE_MS = 30_000;
const CROWDED = 4105;
const TOKEN_TRIES = 5;
const PATH = "/api/v1/ws";

/** The server refuses this client for good. `code` is that of the close frame. */
export class Stopped extends Error {
  constructor(code, reason) {
    super(`${code} ${reason}`.trim());
    this.name = "Stopped";
    this.code = code;
  }
}

/** The server refused a command. `retry` is no, later, reauthenticate or resync; `extra` has what it says besides. */
export class Refused extends Error {
  constructor({ code, message, retry, extra = {} }) {
    super(message);
    this.name = "Refused";
    this.code = code;
    this.retry = retry;
    this.extra = extra;
  }
}

export class SignalboxClient {
  #address;
  #askForToken;
  #token = null;
  #tokenFailures = 0;
  #epoch = null;
  #socket = null; // the socket that commands go to
  #attempt = null; // the socket that is being opened
  #isOpening = false; // also while we wait for a token
  #state = "idle"; // idle, running or stopped
  #tries = 0;
  #hint = null; // milliseconds, from going_away
  #silenceMs = 60_000;
  #lastId = 0;
  #timers = new Map(); // by name: retry, silence, opening, leave
  #channels = new Map(); // name -> {type, since, stream, position, joined}
  #resyncs = new Map(); // stream -> reason
  #unanswered = new Map(); // id -> {frame, resolve, reject, timer}
  #handlers = new Map(); // type -> Set of functions

  /**
   * `url` is that of the server. `token` returns an access token, and is called again when that expires. If it fails it
   * is called again later: after a TypeError of fetch (no network) for ever, after other errors 5 times in a row. Then
   * the client stops with the last error. Stopped stops it at once.
   */
  constructor(url, { token }) {
    this.#address = url.replace(/\/+$/, "").replace(/^http/, "ws") + PATH;
    this.#askForToken = token;
    globalThis.addEventListener?.("online", this.#online);
  }

  /** Connect, and stay connected. Resolves with the first connection. Rejects if the client stops before that. */
  connect() {
    if (this.#state !== "idle") return Promise.reject(new Error("connect once"));
    this.#state = "running";
    return new Promise((resolve, reject) => {
      const offs = [this.on("connected", () => (offs.forEach((off) => off()), resolve())),
        this.on("stopped", (error) => (offs.forEach((off) => off()), reject(error)))];
      this.#open();
    });
  }

  /** Call `handler` with every frame of this type. Returns a function that removes it. */
  on(type, handler) {
    if (!this.#handlers.has(type)) this.#handlers.set(type, new Set());
    this.#handlers.get(type).add(handler);
    return () => this.#handlers.get(type).delete(handler);
  }

  /** Follow a channel, from after offset `since` or from now on. Resolves to its current position. */
  subscribe(channel, { since } = {}) {
    return this.#follow(channel, "subscribe", since);
  }

  /** Be shown as present on a presence channel, and follow who else is present. */
  bePresent(channel) {
    return this.#follow(channel, "presence");
  }

  /** Stop following a channel. */
  unsubscribe(channel) {
    this.#channels.delete(channel);
    return this.#command({ type: "unsubscribe", channel });
  }

  /** Run a command once, even if the connection is lost; with a `key`, once in all calls; with null, perhaps twice. */
  call(method, params = {}, key = globalThis.crypto?.randomUUID?.() ?? `${Date.now()}-${Math.random()}`) {
    return this.#command({ type: "call", method, params, key });
  }

  /** Publish a value on an ephemeral channel that you follow. */
  publish(channel, data) {
    return this.#command({ type: "publish", channel, data });
  }

  /** Ask for the server's clock: resolves to {time, received, sent}. `time` is yours, and comes back. */
  ping(time) {
    return this.#command({ type: "ping", time });
  }

  /** Close the connection for good. Commands without an answer are rejected. */
  close() {
    if (this.#state !== "stopped") this.#stop(new Stopped(1000, "closed"));
  }

  // Commands

  #follow(channel, type, since) {
    this.#channels.set(channel, { type, since, stream: null, position: 0, joined: false });
    return this.#command({ type, channel, ...(since === undefined ? {} : { since }) }).catch((error) => {
      if (!this.#channels.get(channel)?.joined) this.#channels.delete(channel);
      throw error;
    });
  }

  // Commands without an answer when a connection is lost are sent again on the next one.
  #command(fields) {
    if (this.#state === "stopped") return Promise.reject(new Stopped(1000, "closed"));
    const frame = { ...fields, id: ++this.#lastId };
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#unanswered.delete(frame.id);
        reject(new Error(`nothing was answered to ${frame.type} in ${ANSWER_MS} ms`));
      }, ANSWER_MS);
      this.#unanswered.set(frame.id, { frame, resolve, reject, timer });
      this.#send(this.#socket, frame);
    });
  }

  #send(socket, frame) {
    if (socket?.readyState === 1) socket.send(JSON.stringify(frame));
  }

  // The connection

  async #open() {
    if (this.#isOpening || this.#state !== "running") return;
    this.#isOpening = true;
    try {
      this.#token ??= await this.#newToken(CONNECT_MS);
    } catch (error) {
      this.#isOpening = false;
      if (this.#state !== "running") return;
      if (error instanceof Stopped || this.#tokenFailures >= TOKEN_TRIES) this.#stop(error);
      else this.#later();
      return;
    }
    if (this.#state !== "running") return;
    const old = this.#socket;
    const socket = (this.#attempt = new WebSocket(this.#address));
    let began = null;
    let isOver = false;
    const over = (code, reason) => {
      if (isOver) return;
      isOver = true;
      if (this.#attempt === socket) {
        this.#attempt = null;
        this.#isOpening = false;
        this.#clear("opening");
      } else if (this.#socket === socket) {
        this.#socket = null;
        this.#clear("silence");
        this.#clear("leave");
      } else return; // another socket has replaced it
      if (began !== null && Date.now() - began >= STABLE_MS) this.#tries = 0;
      this.#emit("lost", { code });
      if (code >= 4000 && code < 4100) this.#stop(new Stopped(code, reason));
      else if (!this.#isOpening) this.#later(code);
    };
    const giveUp = () => {
      over(1006, "");
      socket.close();
    };
    this.#after("opening", CONNECT_MS, giveUp);
    const connectId = ++this.#lastId;
    socket.onopen = () => this.#send(socket, this.#first(connectId));
    socket.onclose = ({ code, reason }) => over(code, reason);
    socket.onerror = () => {}; // a close follows
    socket.onmessage = ({ data }) => {
      if (this.#socket !== socket && this.#attempt !== socket) return;
      const frame = JSON.parse(data);
      if (frame.type === "reply" && frame.id === connectId) {
        this.#clear("opening");
        began = Date.now();
        this.#hint = null;
        this.#attempt = null;
        this.#isOpening = false;
        this.#socket = socket;
        if (old) {
          old.onmessage = old.onclose = null;
          old.close(); // only now, so that presence has no gap
        }
        this.#entered(socket, frame.data);
      } else this.#take(socket, frame);
      if (this.#socket === socket) this.#after("silence", this.#silenceMs, giveUp);
    };
  }

  async #newToken(milliseconds) {
    try {
      const token = await within(milliseconds, this.#askForToken());
      this.#tokenFailures = 0;
      return token;
    } catch (error) {
      // fetch throws a TypeError without a network.
      if (!(error instanceof TypeError || error?.name === "TimeoutError")) this.#tokenFailures += 1;
      throw error;
    }
  }

  /** Schedule the next attempt, by the close code. */
  #later(code = 0) {
    this.#tries += 1;
    let wait = Math.random() * Math.min(BACK_OFF_MS[1], BACK_OFF_MS[0] * 2 ** Math.min(this.#tries - 1, 10));
    if (code >= 4300 && code < 4400) {
      this.#token = null;
      if (this.#tries <= 1) wait = 0;
    } else if (code === CROWDED) {
      wait = BACK_OFF_MS[1] * (0.5 + Math.random() / 2); // a client that comes back displaces another
    } else if (this.#hint !== null) {
      wait = this.#hint;
      this.#hint = null;
    }
    this.#after("retry", wait, () => this.#open());
  }

  #online = () => this.#timers.has("retry") && this.#after("retry", Math.random() * 1000, () => this.#open());

  #first(id) {
    const resume = {};
    const subscribe = [];
    for (const [name, channel] of this.#channels) {
      if (!channel.joined) continue;
      if (channel.type === "subscribe") subscribe.push(name);
      if (channel.stream) resume[channel.stream] = Math.min(channel.position, resume[channel.stream] ?? Infinity);
    }
    return { type: "connect", id, token: this.#token, subscribe, resume, epoch: this.#epoch ?? undefined };
  }

  #entered(socket, said) {
    this.#epoch = said.epoch;
    this.#silenceMs = (2 * said.ping_interval + 10) * 1000;
    for (const [name, where] of Object.entries(said.channels)) this.#joined(name, where);
    for (const { frame } of this.#unanswered.values()) if (frame.type !== "ping") this.#send(socket, frame);
    const asked = new Set([...this.#unanswered.values()].map(({ frame }) => frame.channel));
    for (const [channel, { type, joined }] of this.#channels)
      if (type === "presence" && joined && !asked.has(channel)) this.#command({ type, channel }).catch(() => {});
    this.#emit("connected", said);
  }

  #take(socket, frame) {
    switch (frame.type) {
      case "event":
        return this.#happened(frame);
      case "reply":
      case "pong":
      case "error":
        return this.#answered(frame);
      case "unsubscribed":
        this.#channels.delete(frame.channel);
        return this.#emit("unsubscribed", frame);
      case "resync":
        return this.#resync(frame);
      case "ping":
        return this.#send(socket, { type: "pong", time: frame.time });
      case "renew":
        return this.#renew();
      case "going_away":
        this.#hint = frame.retry_ms;
        return this.#after("leave", frame.retry_ms, () => this.#open());
      default:
        this.#emit(frame.type, frame); // value, presence, and types of later versions
    }
  }

  #happened(frame) {
    let isNew = false;
    for (const channel of this.#channels.values())
      if (channel.stream === frame.stream && frame.offset > channel.position) {
        channel.position = frame.offset;
        isNew = true;
      }
    if (isNew) this.#emit("event", frame);
  }

  #resync(frame) {
    this.#epoch = frame.epoch ?? this.#epoch;
    if (frame.offset === undefined) {
      this.#resyncs.set(frame.stream, frame.reason); // a reply with the offset follows
      return;
    }
    for (const channel of this.#channels.values())
      if (channel.joined && channel.stream === frame.stream) channel.position = frame.offset;
    this.#emit("resync", frame);
  }

  #answered(frame) {
    const command = this.#unanswered.get(frame.id);
    if (!command) return;
    this.#unanswered.delete(frame.id);
    clearTimeout(command.timer);
    if (frame.type === "error") return command.reject(new Refused(frame));
    const { type, channel } = command.frame;
    if (type === "subscribe" || type === "presence") this.#joined(channel, frame.data);
    command.resolve(type === "ping" ? frame : frame.data);
  }

  #joined(name, where) {
    const channel = this.#channels.get(name);
    if (!channel) return;
    if (where.code) {
      this.#channels.delete(name);
      this.#emit("unsubscribed", { type: "unsubscribed", channel: name, code: where.code });
      return;
    }
    if (where.recovered === false) {
      const reason = this.#resyncs.get(where.stream) ?? "offset";
      this.#emit("resync", { type: "resync", stream: where.stream, reason });
    }
    if (where.recovered === false || !channel.joined) channel.position = where.offset ?? 0;
    channel.stream = where.stream ?? null;
    channel.joined = true;
    this.#emit("subscribed", { type: "subscribed", channel: name, ...where });
  }

  async #renew() {
    try {
      this.#token = await this.#newToken(ANSWER_MS);
      await this.#command({ type: "authenticate", token: this.#token });
    } catch {
      // Then the server closes with 4300, and the client connects again.
    }
  }

  // The end

  #stop(error) {
    this.#state = "stopped";
    globalThis.removeEventListener?.("online", this.#online);
    for (const name of [...this.#timers.keys()]) this.#clear(name);
    for (const { reject, timer } of this.#unanswered.values()) {
      clearTimeout(timer);
      reject(error);
    }
    this.#unanswered.clear();
    for (const socket of [this.#socket, this.#attempt]) socket?.close();
    this.#socket = this.#attempt = null;
    this.#emit("stopped", error);
  }

  #emit(type, frame) {
    for (const handler of [...(this.#handlers.get(type) ?? [])]) {
      try {
        handler(frame);
      } catch (error) {
        setTimeout(() => {
          throw error; // a bug of the handler, not of this connection
        });
      }
    }
  }

  #after(name, milliseconds, act) {
    this.#clear(name);
    this.#timers.set(name, setTimeout(() => (this.#timers.delete(name), act()), milliseconds));
  }

  #clear(name) {
    clearTimeout(this.#timers.get(name));
    this.#timers.delete(name);
  }
}

/** The result of a promise, or a TimeoutError if it takes longer. */
function within(milliseconds, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new DOMException("this took too long", "TimeoutError")), milliseconds);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
