import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import test, { type ExecutionContext } from 'ava';
import Koa from 'koa';
import { z } from 'zod';
import { AppError } from '../../src/errors.ts';
import { createBodyRoom } from '../../src/http/body-room.ts';
import { describeApi } from '../../src/http/openapi.ts';
import { json, operation, route } from '../../src/http/operation.ts';
import { createResponder } from '../../src/http/respond.ts';
import { createRouting, type Route } from '../../src/http/routing.ts';

const Box = z.object({ id: z.string(), seen: z.array(z.string()) }).meta({ id: 'Box' });

const getBox = operation('getBox', 'GET', '/boxes/:id', {
  summary: 'Get a box',
  params: { id: z.string().meta({ description: 'Of the box.', example: 'a' }) },
  query: z.object({
    numbers: z.coerce
      .number({ error: 'must be a number' })
      .int()
      .min(1)
      .max(1000, { error: 'must be at most 1000' })
      .describe('How many.')
      .optional(),
  }),
  answer: json(200, 'The box.', Box, { id: 'a', seen: [] }),
  errors: ['UNAUTHORIZED'],
});

async function serve(t: ExecutionContext, routes: readonly Route[]): Promise<string> {
  const app = new Koa();
  const room = createBodyRoom({ maxBytes: 1_000_000, bodyMaxBytes: 1_000, clientOf: () => undefined });
  const log = { served: () => {}, failed: () => {}, broken: () => {} };
  const respond = createResponder(log, () => false, room);
  const routing = createRouting(routes, () => {});
  app.use((ctx) => respond(ctx, routing));
  const server = createServer(app.callback()).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test('a handler gets decoded parameters and a checked query, after all guards', async (t) => {
  const seen: string[] = [];
  const guards = [
    () => void seen.push('first'),
    async () => {
      await null;
      seen.push('second');
    },
  ];
  const base = await serve(t, [
    route(getBox, guards, ({ params, query }) => ({ id: params.id, seen: [...seen, `${query.numbers}`] })),
  ]);
  t.deepEqual(await (await fetch(`${base}/boxes/a%20b?numbers=7&x=1`)).json(), {
    id: 'a b',
    seen: ['first', 'second', '7'],
  });
  for (const wrong of ['numbers=x', 'numbers=1001', 'numbers=1&numbers=2']) {
    const response = await fetch(`${base}/boxes/a?${wrong}`);
    const { code, Error: sentence } = (await response.json()) as { code: string; Error: string };
    t.deepEqual([response.status, code], [400, 'INVALID_REQUEST'], wrong);
    t.regex(sentence, /^numbers must be/);
  }
});

test('a guard that throws keeps the handler from running', async (t) => {
  const refuse = (): never => {
    throw new AppError('UNAUTHORIZED');
  };
  const base = await serve(t, [route(getBox, [refuse], () => t.fail() as never)]);
  t.is((await fetch(`${base}/boxes/a`)).status, 401);
});

test('a path without parameters goes before a pattern that would take it too', async (t) => {
  const fixed: Route = {
    method: 'GET',
    path: '/boxes/newest',
    run: (ctx) => void Object.assign(ctx, { body: 'newest' }),
  };
  const base = await serve(t, [route(getBox, [], ({ params }) => ({ id: params.id, seen: [] })), fixed]);
  t.is(await (await fetch(`${base}/boxes/newest/`)).text(), 'newest');
  t.like(await (await fetch(`${base}/boxes/oldest`)).json(), { id: 'oldest' });
});

test('two routes for one method and path are refused', (t) => {
  const one = route(getBox, [], () => undefined);
  t.throws(() => createRouting([one, one], () => {}), { instanceOf: TypeError });
});

test('the document has what the operation says', (t) => {
  const { paths, components } = describeApi([{ tag: { name: 'boxes', description: 'Boxes.' }, operations: [getBox] }]);
  t.like(paths['/boxes/{id}']?.get, {
    operationId: 'getBox',
    tags: ['boxes'],
    parameters: [
      { name: 'id', in: 'path', required: true, description: 'Of the box.', schema: { type: 'string' }, example: 'a' },
      {
        name: 'numbers',
        in: 'query',
        required: false,
        description: 'How many.',
        schema: { type: 'integer', minimum: 1, maximum: 1000 },
      },
    ],
  });
  t.deepEqual(Object.keys(paths['/boxes/{id}']?.get?.responses ?? {}), [
    '200',
    '400',
    '401',
    '408',
    '417',
    '421',
    '431',
    '500',
  ]);
  t.like(components.schemas.Box, { type: 'object', required: ['id', 'seen'] });
});
