import test from 'ava';
import { withNotice } from '../../../src/auth/accounts/mail-links.ts';
import { AppError } from '../../../src/errors.ts';
import { newMailTo } from '../../mail/support.ts';

const refused = new AppError('STORAGE_UNAVAILABLE', { isNotWritten: true });
const unknown = new AppError('STORAGE_UNAVAILABLE');

for (const [what, change, outcome] of [
  ['was made', async () => true, 'released'],
  ['was not made', async () => false, 'dropped'],
  ['was surely not written', () => Promise.reject(refused), 'dropped'],
  ['may have been written', () => Promise.reject(unknown), 'released'],
] as const) {
  test(`the mail about a change that ${what} is ${outcome}`, async (t) => {
    const done: string[] = [];
    const held = { release: () => void done.push('released'), drop: async () => void done.push('dropped') };
    const made = withNotice({ hold: async () => held }, newMailTo('a@example.org'), change);
    const [result] = await Promise.allSettled([made]);
    t.deepEqual(done, [outcome]);
    t.is(result?.status, what.startsWith('was made') || what === 'was not made' ? 'fulfilled' : 'rejected');
  });
}
