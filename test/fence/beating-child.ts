import { createFence } from '../../src/fence/fence.ts';
import { openStorage } from '../../src/storage/open.ts';
import { configOf } from '../support/storage/storage-config.ts';

// A process that beats without a pause, to be killed at it: at most moments it is between the database and the file.
const [url = '', path = ''] = process.argv.slice(2);
const { fence: store } = await openStorage(configOf(url), { onLost: () => process.exit(1), onWarning: () => {} });
const ignore = (): void => {};
const report = { refusing: () => process.exit(1), lifted: ignore, away: ignore, back: ignore, warning: ignore };
const uptime = () => performance.now();
const fence = createFence({ store, path, clock: Date.now, uptime, isMarker: true, report }, 60_000);
for (;;) if ((await fence.beat()) && process.send) process.send(fence.refusedUntil());
