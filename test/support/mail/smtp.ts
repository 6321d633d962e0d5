import { once } from 'node:events';
import type { Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import { SMTPServer, type SMTPServerOptions } from 'smtp-server';
import { findFreePort } from '../process/free-port.ts';
import { remember } from '../process/leaks.ts';
import { until } from '../process/program.ts';
import { parseMessage, type ReceivedMail } from './message.ts';

/** A step of a conversation, where the server can refuse or hang. */
export type Step = 'connect' | 'auth' | 'mail' | 'rcpt' | 'data';

export type MailServerOptions = Pick<SMTPServerOptions, 'secure' | 'key' | 'cert' | 'disabledCommands'> & {
  /** Default: one that stays free for this file while nothing listens on it. */
  port?: number;
  /** Without it, nobody has to sign in. */
  credentials?: { user: string; password: string };
};

export type MailServer = {
  port: number;
  url: string;
  /** Those that were accepted. */
  mails: ReceivedMail[];
  /** Which recipients were named, in which order, accepted or not. */
  asked: string[];
  /** How many connections there were. */
  connections(): number;
  /** Conversations at one time, at most. */
  most(): number;
  /** Whether the last mail came through TLS. */
  wasSecure(): boolean;
  /**
   * What the server answers at a step, by the recipient where it is known: nothing is acceptance, a number with words a
   * refusal, `die` cuts the connection, `hang` says nothing more.
   */
  answer(step: Step, recipient: string | undefined): string | undefined;
  /** How long each step takes. */
  delayMs: number;
  /** Accepts, and cuts the connection before it says so. */
  diesAfterData: boolean;
  /** Waits for a mail to an address. */
  mailTo(address: string): Promise<ReceivedMail>;
  /** Stops listening, and ends what is under way. */
  stop(): Promise<void>;
};

/** A real mail server on loopback. It keeps what it accepted. */
export async function startMailServer(t: ExecutionContext, options: MailServerOptions = {}): Promise<MailServer> {
  const { port = await findFreePort(), credentials, ...others } = options;
  const sockets = new Set<Socket>();
  let [connections, open, most, isSecure] = [0, 0, 0, false];
  const state: MailServer = {
    ...{ port, url: '', mails: [], asked: [], delayMs: 0, diesAfterData: false },
    connections: () => connections,
    most: () => most,
    wasSecure: () => isSecure,
    answer: () => undefined,
    async mailTo(address) {
      const find = (): ReceivedMail | undefined => state.mails.find(({ to }) => to === address);
      await until(`a mail to ${address}`, () => find() !== undefined);
      return find() as ReceivedMail;
    },
    stop: () =>
      new Promise<void>((resolve) => {
        server.server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };

  function cut(remotePort: number): void {
    for (const socket of sockets) if (socket.remotePort === remotePort) socket.destroy();
  }

  async function reach(step: Step, remotePort: number, recipient?: string): Promise<Error | undefined> {
    if (state.delayMs > 0) await sleep(state.delayMs);
    const answer = state.answer(step, recipient);
    if (answer === undefined) return undefined;
    if (answer === 'hang') return new Promise(() => {});
    if (answer === 'die') {
      cut(remotePort);
      return new Promise(() => {});
    }
    return Object.assign(new Error(answer.slice(4)), { responseCode: Number(answer.slice(0, 3)) });
  }

  const server = new SMTPServer({
    ...others,
    authOptional: credentials === undefined,
    allowInsecureAuth: true,
    disableReverseLookup: true,
    logger: false,
    async onConnect({ remotePort }, done) {
      connections += 1;
      open += 1;
      most = Math.max(most, open);
      done(await reach('connect', remotePort));
    },
    onClose() {
      open -= 1;
    },
    async onAuth({ username, password }, { remotePort }, done) {
      const refusal = await reach('auth', remotePort);
      const isRight = username === credentials?.user && password === credentials?.password;
      done(refusal ?? (isRight ? null : new Error('Invalid username or password')), { user: username });
    },
    async onMailFrom(_address, { remotePort }, done) {
      done(await reach('mail', remotePort));
    },
    async onRcptTo({ address }, { remotePort }, done) {
      state.asked.push(address);
      done(await reach('rcpt', remotePort, address));
    },
    async onData(stream, session, done) {
      const { mailFrom, rcptTo } = session.envelope;
      const to = rcptTo[0]?.address ?? '';
      const raw = await text(stream).catch(() => undefined);
      if (raw === undefined) return; // broken off
      const refusal = await reach('data', session.remotePort, to);
      if (refusal) return done(refusal);
      isSecure = session.secure;
      const mail = parseMessage(raw, { from: mailFrom ? mailFrom.address : '', to });
      remember(to);
      if (mail.link) remember(new URL(mail.link).searchParams.get('token'));
      state.mails.push(mail);
      if (state.diesAfterData) cut(session.remotePort);
      else done();
    },
  });
  server.on('error', () => {}); // connections that end in the middle
  server.server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  await once(server.listen(port, '127.0.0.1'), 'listening');
  t.teardown(state.stop);
  const login = credentials ? `${credentials.user}:${encodeURIComponent(credentials.password)}@` : '';
  state.url = `${others.secure ? 'smtps' : 'smtp'}://${login}127.0.0.1:${state.port}`;
  return state;
}
