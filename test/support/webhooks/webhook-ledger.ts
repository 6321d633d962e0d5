import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import { Webhook } from 'standardwebhooks';
import { fingerprintOf } from '../../../src/webhooks/payload.ts';
import type { EventType } from '../../../src/webhooks/store.ts';
import { remember, rememberCall } from '../process/leaks.ts';

/** How many receivers there are, each with its own origin. */
const RECEIVERS = 6;
/** How long an answer takes at most, so that some are under way whenever a process is killed. */
const ANSWER_MS = 30;
/** The share of first attempts that fail: half with 503, half with a connection that breaks after everything was read. */
const FAILING = 0.04;

type Entry = { type: EventType; webhookSecret: string; calls: Call[]; isAcknowledged: boolean };
type Call = { id: string; body: string };

/** Records which events are due and which arrived, outside of the service. */
export type WebhookLedger = {
  /** What contradicts the books. */
  readonly violations: readonly string[];
  readonly counts: Readonly<{ told: number; duplicates: number; failed: number }>;
  /** The next receiver's URL. */
  url(): string;
  /** From now on an event of this type is due for this secret. */
  expect(secretKey: string, type: EventType, webhookSecret: string): void;
  /** Secrets whose event no receiver acknowledged yet. */
  missing(): number;
};

/** Starts receivers that verify what arrives as any receiver would, and fail at times. */
export async function startWebhookLedger(t: ExecutionContext): Promise<WebhookLedger> {
  const entries = new Map<string, Entry>();
  const violations: string[] = [];
  const counts = { told: 0, duplicates: 0, failed: 0 };

  /** @returns whether it is to be acknowledged. */
  function enter(headers: IncomingHttpHeaders, body: string): boolean {
    const { type, data } = JSON.parse(body) as { type: string; data: { secret_id: string } };
    const entry = entries.get(data.secret_id);
    const id = String(headers['webhook-id']);
    rememberCall(headers);
    if (!entry) {
      violations.push(`an event of a secret that nobody ended: ${body}`);
      return true;
    }
    if (type !== `secret.${entry.type}`) violations.push(`not the end it had: ${body}`);
    try {
      new Webhook(entry.webhookSecret).verify(body, headers as Record<string, string>);
    } catch (error) {
      violations.push(`${(error as Error).message}: ${body}`);
    }
    const [first] = entry.calls;
    if (first && (first.id !== id || first.body !== body)) violations.push(`${body} after ${first.body}`);
    if (entry.isAcknowledged) counts.duplicates += 1;
    entry.calls.push({ id, body });
    if (!first && Math.random() < FAILING) return false;
    if (!entry.isAcknowledged) counts.told += 1;
    entry.isAcknowledged = true;
    return true;
  }

  function fail(response: ServerResponse): void {
    counts.failed += 1;
    if (counts.failed % 2 === 0) response.destroy();
    else response.writeHead(503).end();
  }

  const urls = await Promise.all(
    Array.from({ length: RECEIVERS }, async () => {
      const server = createServer(async (request, response) => {
        const body = await text(request);
        const isTaken = enter(request.headers, body);
        await sleep(Math.random() * ANSWER_MS);
        if (isTaken) response.writeHead(204).end();
        else fail(response);
      });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      t.teardown(() => {
        server.closeAllConnections();
        server.close();
      });
      return `http://127.0.0.1:${(server.address() as AddressInfo).port}/a-path-that-is-secret`;
    }),
  );
  for (const url of urls) remember(url);
  let next = 0;
  return {
    violations,
    counts,
    url: () => urls[next++ % urls.length] as string,
    expect(secretKey, type, webhookSecret) {
      entries.set(fingerprintOf(secretKey), { type, webhookSecret, calls: [], isAcknowledged: false });
    },
    missing: () => [...entries.values()].filter(({ isAcknowledged }) => !isAcknowledged).length,
  };
}
