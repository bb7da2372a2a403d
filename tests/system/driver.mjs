// Drives the JavaScript client for a test: orders come on standard input, frames and answers go to standard output,
// one line of JSON each.
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const [, , script, url] = process.argv;
const { SignalboxClient } = await import(pathToFileURL(script));
const tell = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
let token = "";
let failures = 0;

const client = new SignalboxClient(url, {
  token: async () => {
    tell({ type: "token_asked" });
    if (failures-- > 0) throw Object.assign(new Error("the page that knows the token did not answer"), { code: "no token" });
    return token;
  },
});
for (const type of ["event", "value", "presence", "resync", "unsubscribed", "subscribed", "connected"])
  client.on(type, (frame) => tell({ ...frame, type }));
client.on("lost", ({ code }) => tell({ type: "lost", code }));
client.on("stopped", ({ code }) => tell({ type: "stopped", code }));

const acts = {
  token: (order) => ([token, failures] = [order.token, order.failures ?? 0]),
  connect: () => client.connect(),
  subscribe: (order) => client.subscribe(order.channel, { since: order.since }),
  present: (order) => client.bePresent(order.channel),
  unsubscribe: (order) => client.unsubscribe(order.channel),
  publish: (order) => client.publish(order.channel, order.data),
  call: (order) => client.call(order.method, order.params, order.key),
  ping: (order) => client.ping(order.time),
  close: () => client.close(),
};

for await (const line of createInterface({ input: process.stdin })) {
  const order = JSON.parse(line);
  // Not awaited: answers come as they come.
  Promise.resolve(acts[order.do](order)).then(
    (data) => tell({ type: "done", order: order.order, data }),
    (error) => tell({ type: "failed", order: order.order, code: error.code ?? error.message }),
  );
}
client.close();
