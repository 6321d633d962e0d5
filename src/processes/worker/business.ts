import type { IncomingMessage } from 'node:http';
import type { Context } from 'koa';
import type { AppParts } from '../../app.ts';
import { isOurs } from '../../auth/sessions/tokens.ts';
import { createAuthClient } from '../../business/auth-client.ts';
import { createCallers } from '../../business/callers.ts';
import { createCustomers } from '../../business/customers.ts';
import type { Clock } from '../../clock.ts';
import type { Config } from '../../config/config.ts';
import type { MayBeOurs } from '../../http/caller.ts';
import { createBaseFinder, createCookieAdmission, type Site } from '../../http/origin.ts';
import type { Limiter } from '../../limits/limiter.ts';
import type { Storage } from '../../storage/storage.ts';
import { issuerIn } from '../../tokens/access/access-tokens.ts';
import { isLikeOurs } from '../../tokens/access/issuer.ts';
import { authAddressOf } from '../addresses.ts';
import type { Telemetry } from './telemetry.ts';

export type BusinessServiceParts = {
  config: Config;
  storage: Pick<Storage, 'customers'>;
  site: Site;
  limiter: Limiter;
  networkOf(request: IncomingMessage): string;
  telemetry: Telemetry;
  clock: Clock;
  authDeadlineMs?: number;
};

export type BusinessService = {
  business: AppParts['business'];
  /** The email address of the account that a request's token is of, if there are accounts and it carries one. */
  findUser(ctx: Context): Promise<string | undefined>;
  close(): void;
};

/** By its prefix or its issuer; the service that knows tokens has the last word. */
function createMayBeOurs(publicUrl: string | undefined): MayBeOurs {
  return {
    isToken: (token) => isOurs(token) || isLikeOurs(issuerIn(token), publicUrl),
    isIn: (text) => text.split(/[\s,]+/).some(isOurs),
  };
}

/** What asks whether tokens are good: the routes of the business, and the proxy. */
export function openBusiness(parts: BusinessServiceParts): BusinessService {
  const { config, storage, site, limiter, networkOf, telemetry, clock, authDeadlineMs } = parts;
  const { ask, close } = createAuthClient({
    address: authAddressOf(config),
    internalToken: config.INTERNAL_TOKEN,
    onCall: telemetry.authCall,
    ...(authDeadlineMs && { deadlineMs: authDeadlineMs }),
  });
  const callers = createCallers({
    ask,
    limiter,
    networkOf,
    ...{ baseOf: createBaseFinder(site), admitCookies: createCookieAdmission(site) },
  });
  const customers = createCustomers({ store: storage.customers, clock, onChange: telemetry.customerEvent });
  const hasAccounts = config.SERVICES.includes('auth') || config.AUTH_URL !== undefined;
  const mayBe = createMayBeOurs(config.PUBLIC_URL);
  return {
    business: config.SERVICES.includes('business') ? { callers, customers, limiter } : undefined,
    findUser: async (ctx) => (hasAccounts ? (await callers.find(ctx, mayBe))?.email : undefined),
    close,
  };
}
