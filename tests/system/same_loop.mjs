// Takes a script of what happens to a room and its element, one line of JSON each, and tells what the loop makes of it.
import { join } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const { DriftLoop } = await import(pathToFileURL(join(process.argv[2], "following.js")));

const element = {
  currentTime: 0,
  duration: 600,
  paused: true,
  readyState: 4,
  isStiff: false,
  ahead: 10,
  rate: 1,
  get seeking() {
    return false;
  },
  get playbackRate() {
    return this.rate;
  },
  set playbackRate(rate) {
    if (this.isStiff && rate % 1) throw new Error("NotSupportedError");
    this.rate = rate;
  },
  get buffered() {
    return { length: 1, start: () => 0, end: () => this.currentTime + this.ahead };
  },
  play() {
    this.paused = false;
  },
  pause() {
    this.paused = true;
  },
};
const loop = new DriftLoop(element);
let now = 0;
for await (const line of createInterface({ input: process.stdin })) {
  const { ms, move_ms, state, is_ready, ahead, is_stiff, mode, offset_ms, resync } = JSON.parse(line);
  now += ms;
  if (!element.paused && element.readyState === 4) element.currentTime += (element.rate * ms) / 1000;
  if (move_ms !== undefined) element.currentTime = Math.max(0, element.currentTime + move_ms / 1000);
  if (is_ready !== undefined) element.readyState = is_ready ? 4 : 2;
  if (ahead !== undefined) element.ahead = ahead;
  if (is_stiff !== undefined) element.isStiff = is_stiff;
  if (mode !== undefined) loop.mode = mode;
  if (offset_ms !== undefined) loop.offsetMs = offset_ms;
  if (resync) loop.resync();
  if (state !== undefined && loop.follow(state) && !loop.isLoaded) loop.loaded();
  const wait = loop.tick(now, 1_790_000_000_000 + now);
  const { currentTime, paused, rate } = element;
  console.log(JSON.stringify({ wait, position: currentTime, paused, player_rate: rate, ...loop.report() }));
}
