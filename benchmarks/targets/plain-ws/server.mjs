// The least that a live service on Node.js can be: each message goes to every socket, and nothing is checked or written.
// Run it in a folder where `ws` is installed; it listens on PORT.
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const { WebSocketServer } = createRequire(join(process.cwd(), 'package.json'))('ws');
// As long as an event of Signalbox about a new title, without the frame's header.
const MESSAGE_BYTES = Number(process.env.MESSAGE_BYTES);

function message(title) {
  const head = `{"type":"event","title":"${title}","filler":"`;
  return Buffer.from(head + 'x'.repeat(Math.max(0, MESSAGE_BYTES - head.length - 2)) + '"}');
}

const server = createServer((request, response) => {
  const parts = [];
  request.on('data', (part) => parts.push(part));
  request.on('end', () => {
    const reply = (status, said) => {
      response.writeHead(status, { 'content-type': 'application/json' });
      response.end(JSON.stringify(said));
    };
    if (request.method !== 'POST' || request.url !== '/publish') return reply(200, { status: 'alive' });
    const { title, n = 1 } = JSON.parse(Buffer.concat(parts).toString());
    const ready = message(title);
    for (let i = 0; i < n; i += 1) {
      for (const socket of sockets.clients) socket.send(ready, { binary: false });
    }
    return reply(200, { title });
  });
});
server.keepAliveTimeout = 65_000;

const sockets = new WebSocketServer({ server, perMessageDeflate: false });
sockets.on('connection', (socket) => {
  socket.on('error', () => socket.terminate());
  socket.send('{"type":"reply"}');
});
server.listen(Number(process.env.PORT), '127.0.0.1');
process.on('SIGTERM', () => process.exit(0));
