import { type ApiPart, SHARED_HEADERS, SHARED_RESPONSES, SHARED_SCHEMAS } from './http/openapi.ts';
import { describeOperation } from './ops/openapi.ts';
import { describeProxy } from './proxy/openapi.ts';
import { describeSecrets } from './secrets/openapi.ts';
import type { SecretLimits } from './secrets/routes.ts';
import { describeSink } from './sink/openapi.ts';
import { VERSION } from './version.ts';
import { describePages } from './web/openapi.ts';
import { describeWebhooks } from './webhooks/openapi.ts';

const DESCRIPTION = `
Hands over a secret exactly once.

- Every answer is JSON, but for the pages. Every error has one shape: \`Error\`, \`code\`, \`request_id\`.
- A body is JSON whatever its content type says. One that is not JSON, not an object, not UTF-8, or has an unknown member is 400.
- Every answer has \`cache-control: no-store\`, \`x-content-type-options: nosniff\`, \`referrer-policy: no-referrer\` and \`x-request-id\`.
- An unknown path is 404 \`NOT_FOUND\`, a method that a path does not take is 405 with \`Allow\`. OPTIONS is 204 with \`Allow\`. HEAD is GET without the body. A slash at the end makes no difference.
- Request heads are read up to 16 KiB (431) and for 10 s, whole requests for 60 s (408). Compressed bodies are 415, an \`Expect\` other than \`100-continue\` is 417.
- 429, 503 and 507 come with \`Retry-After\`; the same request can succeed then.
`.trim();

export type ApiOptions = {
  limits: SecretLimits;
  /** Whether creating a secret needs a token. */
  needsToken: boolean;
  publicUrl: string | undefined;
};

/** The OpenAPI 3.1 document of a server with these settings. */
export function createDocument({ limits, needsToken, publicUrl }: ApiOptions): object {
  const parts: readonly ApiPart[] = [
    describeSecrets(limits, needsToken),
    describeWebhooks(),
    describeProxy(),
    describeSink(),
    describePages(),
    describeOperation(),
  ];
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
    tags: parts.map(({ tag }) => tag),
    paths: Object.assign({}, ...parts.map(({ paths }) => paths)),
    webhooks: Object.assign({}, ...parts.map(({ webhooks }) => webhooks)),
    components: {
      securitySchemes: {
        proxyToken: {
          type: 'http',
          scheme: 'bearer',
          description: 'In production: the PROXY_TOKEN that the server was given.',
        },
        proxyAuthorization: {
          type: 'apiKey',
          in: 'header',
          name: 'Proxy-Authorization',
          description: 'Where the server was given a PROXY_TOKEN: `Bearer` and the token.',
        },
        createToken: { type: 'http', scheme: 'bearer', description: 'Where the server was given a CREATE_TOKEN.' },
      },
      headers: SHARED_HEADERS,
      responses: SHARED_RESPONSES,
      schemas: Object.assign({}, SHARED_SCHEMAS, ...parts.map(({ schemas }) => schemas)),
    },
  };
}
