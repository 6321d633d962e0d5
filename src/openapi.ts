import { accountsApi } from './auth/accounts/operations.ts';
import { browserApi } from './auth/sessions/browser-operations.ts';
import { sessionsApi } from './auth/sessions/operations.ts';
import { businessApi } from './business/operations.ts';
import { describeApi } from './http/openapi.ts';
import { opsApi } from './ops/routes.ts';
import { proxyApi } from './proxy/routes.ts';
import { secretsApi } from './secrets/operations.ts';
import { requestsApi } from './secrets/request-operations.ts';
import type { SecretLimits } from './secrets/schemas.ts';
import { sinkApi } from './sink/routes.ts';
import { VERSION } from './version.ts';
import { webApi } from './web/routes.ts';
import { webhooksApi } from './webhooks/openapi.ts';

const DESCRIPTION = `
Hands over a secret exactly once.

- Every answer is JSON, except the pages. Every error has one shape: \`Error\`, \`code\`, \`request_id\`.
- A body is read as JSON whatever its content type. A body that is not JSON, not an object or not UTF-8, or that has an unknown member, is 400.
- Every answer has \`cache-control: no-store\` (only the public keys of \`/.well-known/jwks.json\` may be kept, for five minutes), \`x-content-type-options: nosniff\`, \`referrer-policy: no-referrer\` and \`x-request-id\`.
- An unknown path is 404 \`NOT_FOUND\`, a method that a path does not accept is 405 with \`Allow\`. OPTIONS is 204 with \`Allow\`. HEAD is GET without the body. A slash at the end makes no difference, and repeated slashes count as one.
- Request heads may have 16 KiB (otherwise 431) and take 10 s, whole requests 60 s (otherwise 408). Compressed bodies are 415, an \`Expect\` other than \`100-continue\` is 417.
- 429, 503 and 507 come with \`Retry-After\`; the same request can succeed after that time.
`.trim();

export type ApiOptions = {
  limits: SecretLimits;
  /** Whether creating a secret needs a token. */
  needsToken: boolean;
  publicUrl: string | undefined;
  served: Served;
};

/** Which parts a server has, beside those that every server has. */
export type Served = Readonly<Record<'secrets' | 'auth' | 'sink' | 'proxy' | 'business', boolean>>;

export const EVERYTHING: Served = { secrets: true, auth: true, sink: true, proxy: true, business: true };

/** The OpenAPI 3.1 document of a server with these settings. */
export function createDocument({ limits, needsToken, publicUrl, served }: ApiOptions) {
  const parts = [
    ...(served.secrets ? [secretsApi(limits, needsToken), requestsApi(limits, needsToken), webhooksApi] : []),
    ...(served.auth ? [sessionsApi, browserApi, accountsApi] : []),
    ...(served.business ? [businessApi] : []),
    ...(served.proxy ? [proxyApi] : []),
    ...(served.sink ? [sinkApi] : []),
    ...(served.secrets || served.auth ? [webApi(served)] : []),
    opsApi,
  ];
  const { components, ...described } = describeApi(parts);
  return {
    openapi: '3.1.1',
    info: {
      title: 'Hushbox',
      version: VERSION,
      license: { name: 'MIT', identifier: 'MIT' },
      description: DESCRIPTION,
    },
    servers: [{ url: publicUrl ?? '/' }],
    security: [],
    ...described,
    components: {
      securitySchemes: {
        proxyToken: {
          type: 'http',
          scheme: 'bearer',
          description: "In production: the server's PROXY_TOKEN.",
        },
        proxyAuthorization: {
          type: 'apiKey',
          in: 'header',
          name: 'Proxy-Authorization',
          description: 'If the server has a PROXY_TOKEN: `Bearer` and the token.',
        },
        sessionToken: { type: 'apiKey', in: 'header', name: 'token', description: 'A token of `POST /login`.' },
        sessionBearer: { type: 'http', scheme: 'bearer', description: 'A token of `POST /login`.' },
        sessionProof: {
          type: 'http',
          scheme: 'DPoP',
          description:
            'A token of `POST /login` that is bound to a key; the header `DPoP` proves for each request that the client has that key (RFC 9449).',
        },
        sessionCookie: {
          type: 'apiKey',
          in: 'cookie',
          name: 'access_token',
          description:
            'Of `POST /api/v1/login/`; over HTTPS its name begins with `__Host-`. Requests that change something need the header `X-CSRFToken` too, with the value of the cookie `csrftoken`.',
        },
        refreshCookie: {
          type: 'apiKey',
          in: 'cookie',
          name: 'refresh_token',
          description: 'Of `POST /api/v1/login/`; over HTTPS its name begins with `__Host-`.',
        },
        createToken: { type: 'http', scheme: 'bearer', description: 'If the server has a CREATE_TOKEN: the token.' },
      },
      ...components,
    },
  };
}
