import type { IncomingMessage } from 'node:http';
import type { Context } from 'koa';
import type { z } from 'zod';
import type { Caller } from '../http/caller.ts';
import { formatInstant } from '../http/instant.ts';
import { type Guard, route } from '../http/operation.ts';
import type { Route } from '../http/routing.ts';
import { type Limiter, per, reserveOrRefuse } from '../limits/limiter.ts';
import type { Callers } from './callers.ts';
import { type Change, type Customers, PAGE_MAX } from './customers.ts';
import { createCustomer, deleteCustomer, getData, listCustomers, updateCustomer } from './operations.ts';
import type { Customer } from './store.ts';

const SESSION_LIMIT = per(60_000, 300);

export type BusinessParts = {
  callers: Pick<Callers, 'require'>;
  customers: Customers;
  limiter: Limiter;
  /** The URL of the service, as the client sees it. */
  baseOf(request: IncomingMessage): string;
};

/** Data and customers. */
export function businessRoutes({ callers, customers, limiter, baseOf }: BusinessParts): Route[] {
  const needsCaller: Guard = async (ctx) => {
    ctx.state.caller = await callers.require(ctx);
  };
  const isWithinLimit: Guard = async (ctx) => {
    const name = `customers of session ${callerOf(ctx).sessionId}`;
    await reserveOrRefuse(limiter, [{ name, limit: SESSION_LIMIT }], 'Too many requests of one session');
  };
  const guards = [needsCaller, isWithinLimit];

  return [
    route(getData, [needsCaller], ({ ctx }) => {
      const { email, role } = callerOf(ctx);
      return { data: { email, role } };
    }),

    route(listCustomers, guards, async ({ ctx, query: { numbers, after, limit = PAGE_MAX } }) => {
      if (numbers !== undefined) return (await customers.youngest(numbers)).map(answerOf);
      const page = await customers.page(after, limit);
      const last = page.customers.at(-1);
      if (page.hasMore && last) {
        ctx.set('link', `<${baseOf(ctx.req)}${listCustomers.path}?limit=${limit}&after=${last.id}>; rel="next"`);
      }
      return page.customers.map(answerOf);
    }),

    route(createCustomer, guards, async ({ ctx, readBody }) => {
      return answerOf(await customers.create(await readBody(), changeOf(ctx)));
    }),

    route(updateCustomer, guards, async ({ ctx, readBody }) => {
      const { id, ...changes } = await readBody();
      return answerOf(await customers.update(id, changes, changeOf(ctx)));
    }),

    route(deleteCustomer, guards, async ({ ctx, query: { id } }) => {
      await customers.delete(id, changeOf(ctx));
      return undefined;
    }),
  ];
}

function callerOf({ state }: Context): Caller {
  return state.caller as Caller;
}

function changeOf(ctx: Context): Change {
  return { userId: callerOf(ctx).userId, requestId: ctx.state.requestId };
}

function answerOf({ id, name, dob, updatedAt }: Customer): z.input<typeof createCustomer.answer.schema & {}> {
  return { id, name, dob, updated_at: formatInstant(updatedAt) };
}
