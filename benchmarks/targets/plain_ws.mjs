// A live service with nothing in it but `ws`: an update is broadcast to every socket, and written nowhere.
// Run it where `ws` is installed; it listens on PORT.
import { createRequire } from 'node:module';
import { createServer } from 'node:http';

const { WebSocketServer } = createRequire(process.cwd() + '/')('ws');
const sockets = new Set();

const server = createServer((request, response) => {
  let body = '';
  request.on('data', (part) => { body += part; });
  request.on('end', () => {
    const reply = (said) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(JSON.stringify(said));
    };
    if (request.method !== 'PATCH') return reply({ token: 'none' });
    const { title } = JSON.parse(body);
    // About as long as an event of Signalbox.
    const update = Buffer.from(JSON.stringify({ type: 'event', title, filler: 'x'.repeat(480) }));
    for (const socket of sockets) socket.send(update, { binary: false });
    reply({ title });
  });
});
new WebSocketServer({ server, perMessageDeflate: false }).on('connection', (socket) => {
  sockets.add(socket);
  socket.on('close', () => sockets.delete(socket));
  socket.on('error', () => socket.terminate());
  socket.send('{"type":"reply"}');
});
server.listen(Number(process.env.PORT), '127.0.0.1');
process.on('SIGTERM', () => process.exit(0));
