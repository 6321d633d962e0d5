import type { Scene } from './scene.ts';

/** Every page by its address alone, for languages in which nothing is pressed. @returns the paths, by name. */
export async function listAddresses(server: Scene['server']): Promise<Record<string, string>> {
  const note = 'Пароль от тестовой базы, пожалуйста';
  const { request_key, secret_key } = (await (await server.post('/requests', { note })).json()) as Record<
    string,
    string
  >;
  const sealed = (await (await server.post('/requests', { kid: 'A'.repeat(43) })).json()) as Record<string, string>;
  const waiting = await server.create({ secret: 'hello', phrase: 'blue', receipt: true });
  const read = await server.create({ secret: 'hello', receipt: true });
  await server.post(`/secrets/${read.secret_key}`);
  return {
    create: '/',
    ask: '/ask',
    answer: `/requests/${request_key}`,
    'answer: spoilt': `/requests/${sealed.request_key}`,
    'answer: no request': '/requests/request_nothing',
    early: `/secrets/${secret_key}`,
    open: `/secrets/${waiting.secret_key}`,
    gone: `/secrets/${read.secret_key}`,
    'read here': '/secrets/read',
    'follow: waiting': `/receipts/${waiting.receipt_key}`,
    'follow: read': `/receipts/${read.receipt_key}`,
    'follow: nothing': '/receipts/receipt_nothing',
    'sign in': '/signin',
    register: '/register',
    forgotten: '/forgotten',
    reset: '/reset?token=x',
    'reset: incomplete': '/reset',
    activate: '/api/v1/activate/?token=x',
    account: '/account',
    status: '/status',
    'no such page': '/nowhere',
  };
}
