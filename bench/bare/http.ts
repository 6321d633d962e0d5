import { createServer } from 'node:http';

// The ceiling for Node itself: bodies are read, nothing is parsed, checked or stored.
const created = Buffer.from(JSON.stringify({ secret_key: 'k'.repeat(48), expires_at: '2026-01-01T00:00:00.000Z' }));
const read = Buffer.from(JSON.stringify({ secret: 's'.repeat(64) }));
const server = createServer((request, response) => {
  request.on('data', () => {});
  request.on('end', () => {
    const isCreate = request.url === '/generate';
    const body = isCreate ? created : read;
    response.writeHead(isCreate ? 201 : 200, { 'content-type': 'application/json', 'content-length': body.length });
    response.end(body);
  });
});
server.listen(Number(process.env.HTTP_PORT), '127.0.0.1', () => process.stdout.write('is ready on\n'));
