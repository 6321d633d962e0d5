import type { Answer, DescribedOperation, Schema } from '../../http/openapi.ts';

/** How a request proves who sends it; shell variables stand for what only the reader knows. */
const CREDENTIALS: Readonly<Record<string, string>> = {
  createToken: '-H "Authorization: Bearer $CREATE_TOKEN"',
  proxyToken: '-H "Authorization: Bearer $PROXY_TOKEN"',
  proxyAuthorization: '-H "Proxy-Authorization: Bearer $PROXY_TOKEN"',
  sessionToken: '-H "token: $TOKEN"',
  sessionCookie: '-H "Cookie: access_token=$ACCESS_TOKEN; csrftoken=$CSRF_TOKEN" -H "X-CSRFToken: $CSRF_TOKEN"',
  refreshCookie: '-H "Cookie: refresh_token=$REFRESH_TOKEN"',
};

/**
 * Commands that send an operation's examples: one for each body. `$HUSHBOX_URL` is the address of the server.
 * @throws TypeError for a way to authenticate that has no example.
 */
export function commandsOf(path: string, method: string, operation: DescribedOperation): string[] {
  const { parameters = [], requestBody, responses } = operation;
  const content = requestBody?.content['application/json'];
  const bodies = content
    ? Object.values(content.examples ?? {}).map((example) => spaced((example as { value: unknown }).value))
    : [requestBody && 'anything'];
  const place = `curl "$HUSHBOX_URL${fillPath(path, parameters)}"`;
  const common = [...headersOf(parameters), ...credentialsOf(operation)];
  const [first] = bodies;
  const isText = Object.entries(responses).some(
    ([status, answer]) => status.startsWith('2') && (answer as Answer).content?.['text/plain'],
  );
  return [
    ...bodies.map((body) => [place, ...common, ...sendAs(method, body)].join(' ')),
    ...(isText ? [[place, '-H "Accept: text/plain"', ...common, ...sendAs(method, first)].join(' ')] : []),
  ];
}

function sendAs(method: string, body: string | undefined): string[] {
  const isImplied = method === (body === undefined ? 'get' : 'post');
  return [
    ...(isImplied ? [] : [`-X ${method.toUpperCase()}`]),
    ...(body === undefined ? [] : [`-d '${body.replaceAll("'", "'\\''")}'`]),
  ];
}

/** `/secrets/{key}` is `/secrets/$SECRET_KEY`; what a query needs is named in the same way. */
function fillPath(path: string, parameters: readonly Schema[]): string {
  const thing = path.split('/')[1]?.replace(/s$/, '');
  const variable = (name: unknown): string => `$${thing}_${name}`.toUpperCase();
  const query = parameters.filter(({ in: place, required }) => place === 'query' && required === true);
  const asked = query.map(({ name }) => `${name}=${variable(name)}`).join('&');
  return path.replace(/\{(\w+)\}/g, (_all, name) => variable(name)) + (asked && `?${asked}`);
}

function headersOf(parameters: readonly Schema[]): string[] {
  return parameters
    .filter(({ in: place, required }) => place === 'header' && required === true)
    .map(({ name }) => `-H "${name}: $${String(name).replaceAll('-', '_').toUpperCase()}"`);
}

/** The first way that is offered, unless none is needed. */
function credentialsOf({ security = [] }: DescribedOperation): string[] {
  const names = security.map((way) => Object.keys(way)[0]);
  const [first] = names;
  if (first === undefined) return [];
  const credentials = CREDENTIALS[first];
  if (credentials === undefined) throw new TypeError(`${first} has no example for curl`);
  return [credentials];
}

/** JSON with a space after commas and colons, as people write it. */
function spaced(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(spaced).join(', ')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const members = Object.entries(value).map(([name, member]) => `${JSON.stringify(name)}: ${spaced(member)}`);
  return `{${members.join(', ')}}`;
}
