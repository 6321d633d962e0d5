import { Agent, createServer, request as send } from 'node:http';

// What passing a request on costs Node itself: everything goes on and comes back as it is, unsigned, to anywhere.
const agent = new Agent({ keepAlive: true });
const server = createServer((request, response) => {
  const { destination, host: _host, ...headers } = request.headers;
  const outgoing = send(destination as string, { method: 'POST', agent, headers }, (answer) => {
    response.writeHead(answer.statusCode as number, answer.headers);
    answer.pipe(response);
  });
  outgoing.on('error', () => response.destroy());
  request.pipe(outgoing);
});
server.listen(Number(process.env.HTTP_PORT), '127.0.0.1', () => process.stdout.write('is ready on\n'));
