import { formatInstant } from '../http/instant.ts';
import { route } from '../http/operation.ts';
import { type Page, pageOrJson } from '../http/page.ts';
import type { Route } from '../http/routing.ts';
import { idempotencyKeyOf } from './idempotency.ts';
import { answerRequest, createRequest, lookAtRequest, withdrawRequest } from './request-operations.ts';
import type { OpenRequest } from './requests.ts';
import type { SecretRouteParts } from './routes.ts';

export type RequestRouteParts = Omit<SecretRouteParts, 'pages' | 'baseOf'> & {
  /** What a browser gets that opens the link to fill in. */
  pages: { requestPage: Page<OpenRequest> };
};

/** Ask, look, answer, withdraw. */
export function requestRoutes({ secrets, limits, guards, identify, pages }: RequestRouteParts): Route[] {
  const { requests } = secrets;
  return [
    route(createRequest(limits, guards.length > 0), guards, async ({ request, readBody }) => {
      const client = identify(request); // before the body: the connection may be gone after it
      const { ttl = limits.ttlMaxSeconds * 1000, ...input } = await readBody();
      const { requestKey, secretKey, expiresAt, webhookSecret } = await requests.create({
        ...input,
        ttlMs: ttl,
        client,
      });
      return {
        request_key: requestKey,
        secret_key: secretKey,
        expires_at: formatInstant(expiresAt),
        ...(webhookSecret && { webhook_secret: webhookSecret }),
      };
    }),

    route(lookAtRequest, [], ({ ctx, params }) =>
      pageOrJson(
        ctx,
        pages.requestPage,
        () => requests.look(params.key),
        ({ expiresAt, ...asked }) => ({ ...asked, expires_at: formatInstant(expiresAt) }),
      ),
    ),

    route(answerRequest(limits), [], async ({ request, params, readBody }) => {
      const idempotencyKey = idempotencyKeyOf(request);
      const client = identify(request);
      const { expiresAt, receiptKey } = await requests.answer(params.key, {
        ...(await readBody()),
        idempotencyKey,
        client,
      });
      return { expires_at: formatInstant(expiresAt), ...(receiptKey && { receipt_key: receiptKey }) };
    }),

    route(withdrawRequest, [], async ({ ctx, params, readBody }) => {
      const { proof } = await readBody();
      await requests.withdraw(params.key, proof, ctx.state.requestId);
      return undefined;
    }),
  ];
}
