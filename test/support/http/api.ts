import { rememberBody, rememberHeaders } from '../process/leaks.ts';

export type Created = { secret_key: string; receipt_key: string; expires_at: string };

/** The service as a client sees it, wherever it runs. What is secret is remembered, for the search through logs. */
export type Api = {
  base: string;
  request(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Response>;
  /** POST; a body that is no string is sent as JSON. */
  post(path: string, body?: unknown, headers?: Record<string, string>): Promise<Response>;
  get(path: string, headers?: Record<string, string>): Promise<Response>;
  /** Creates and expects 201. */
  create(body: object): Promise<Created>;
};

export function createApi(base: string): Api {
  const request: Api['request'] = async (method, path, body, headers = {}) => {
    rememberHeaders(headers);
    rememberBody(body);
    const response = await fetch(base + path, {
      method,
      headers,
      ...(body !== undefined && {
        body:
          typeof body === 'string' || body instanceof Uint8Array
            ? (body as RequestInit['body'] & {})
            : JSON.stringify(body),
      }),
    });
    rememberBody(await response.clone().text());
    return response;
  };
  return {
    base,
    request,
    post: (path, body, headers) => request('POST', path, body, headers),
    get: (path, headers) => request('GET', path, undefined, headers),
    async create(body) {
      const response = await request('POST', '/generate', body);
      if (response.status !== 201) throw new Error(`${response.status} ${await response.text()}`);
      return (await response.json()) as Created;
    },
  };
}
