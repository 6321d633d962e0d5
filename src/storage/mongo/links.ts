import type { Collection } from 'mongodb';
import { type Link, type LinkKind, type LinkStore, type NewLink, ownerOf } from '../../auth/accounts/links-store.ts';
import { linkBytesOf, storedBytes } from '../usage.ts';
import { type AccountParts, accountOf, createEndAndSet, createInserting, ENABLED, FINISHED } from './accounts.ts';
import { createAddresses, TAKING_MS } from './addresses.ts';
import type { AccountDocument, LinkDocument } from './collections.ts';
import { translateFailures } from './engine/unavailable.ts';
import { removeOver } from './remove-over.ts';

/**
 * Links of mails in MongoDB. What a link does is decided by one update of the account's document, which has the version
 * that the link was made for, or by the address of a new account: a link's own document only has to be there. A crash can
 * leave some that are not good.
 */
export function createMongoLinkStore(parts: AccountParts): LinkStore {
  return translateFailures({
    ...createKeeping(parts),
    ...createActivating(parts),
    ...createChanging(parts),
    sweepLinks: async (now, limit) => removeOver(parts.links(), now, limit),
  } satisfies LinkStore);
}

async function look(
  links: Collection<LinkDocument>,
  tokenHash: Uint8Array,
  now: number,
  kind?: LinkKind,
): Promise<LinkDocument | undefined> {
  const filter = { _id: tokenHash, removeAt: { $gt: new Date(now) }, ...(kind && { kind }) };
  return (await links.findOne(filter)) ?? undefined;
}

/** The account as it was when the link was made. */
function asMade({ owner, accountVersion }: LinkDocument) {
  return { _id: owner, version: accountVersion as number, ...FINISHED, ...ENABLED };
}

function createKeeping(parts: AccountParts): Pick<LinkStore, 'addLink' | 'findLink' | 'soleRegistration'> {
  const { accounts, links, capacity } = parts;
  const addresses = createAddresses(parts);

  async function removeOldest({ owner, kind }: LinkDocument, most: number): Promise<void> {
    const options = { sort: { createdAt: -1 }, skip: most, projection: { _id: 1 } } as const;
    const oldest = await links().find({ owner, kind }, options).toArray();
    if (oldest.length > 0) await links().deleteMany({ _id: { $in: oldest.map(({ _id }) => _id) } });
  }

  return {
    async addLink(link, most) {
      const document = documentOf(link);
      const reserved = await capacity.reserve(storedBytes(linkBytesOf({ profile: undefined, ...document })));
      if (!reserved) return 'full';
      try {
        await links().insertOne(document);
      } finally {
        reserved(true); // or may be, if this failed
      }
      await removeOldest(document, most);
      return 'added';
    },

    async findLink(tokenHash, now): Promise<Link | undefined> {
      const found = await look(links(), tokenHash, now);
      if (!found) return undefined;
      const { kind, email, createdAt } = found;
      if (kind === 'activate') {
        return (await addresses.isHeld(email, now)) ? undefined : { kind, email, createdAt };
      }
      const account = await accounts().findOne(asMade(found), { projection: { sessions: 0 } });
      if (!account) return undefined;
      const named = { createdAt, account: accountOf(account) };
      return kind === 'reset' ? { kind, ...named } : { kind, ...named, email };
    },

    async soleRegistration(email, now) {
      const waiting = { owner: email, kind: 'activate', removeAt: { $gt: new Date(now) } } as const;
      const found = await links().findOne(waiting, { sort: { createdAt: -1 } });
      if (!found) return undefined;
      const { passwordHash, profile } = found as Required<LinkDocument>;
      if (await links().findOne({ ...waiting, passwordHash: { $ne: passwordHash } })) return undefined;
      return { email, passwordHash, profile };
    },
  };
}

function createActivating(parts: AccountParts): Pick<LinkStore, 'activate'> {
  const { links } = parts;
  const insert = createInserting(parts);

  return {
    /** Its room was reserved with the link. */
    async activate(tokenHash, id, now) {
      const link = await look(links(), tokenHash, now, 'activate');
      if (!link) return undefined;
      const { email, passwordHash, profile } = link as Required<LinkDocument>;
      const account = { id, email, passwordHash, role: 'member', profile, createdAt: now } as const;
      if (!(await insert(account))) return undefined;
      await links().deleteMany({ owner: email });
      return { ...account, version: 1, disabledAt: undefined };
    },
  };
}

function createChanging(parts: AccountParts): Pick<LinkStore, 'resetPassword' | 'changeEmail'> {
  const { accounts, links } = parts;
  const addresses = createAddresses(parts);
  const endAndSet = createEndAndSet(parts);

  async function endLinks(...owners: string[]): Promise<void> {
    await links().deleteMany({ owner: { $in: owners } });
  }

  /** The account of a link, which from now on takes the link's address. */
  async function beginChange(link: LinkDocument, now: number): Promise<AccountDocument | undefined> {
    const next = { email: link.email, until: now + TAKING_MS };
    const projection = { sessions: 0 } as const;
    return (await accounts().findOneAndUpdate(asMade(link), { $set: { next } }, { projection })) ?? undefined;
  }

  return {
    async resetPassword(tokenHash, passwordHash, now) {
      const link = await look(links(), tokenHash, now, 'reset');
      return link !== undefined && endAndSet(asMade(link), { $set: { passwordHash } });
    },

    /** The new address is taken before the account has it, the old one is free only after the account has it no more. */
    async changeEmail(tokenHash, now) {
      const link = await look(links(), tokenHash, now, 'change');
      const before = link && (await beginChange(link, now));
      if (!before) return false;
      const { _id: id, email: from } = before;
      const { email } = link;
      const taking = { ...asMade(link), 'next.email': email };
      if (from === email || !(await addresses.take(email, id, now))) {
        await accounts().updateOne(taking, { $unset: { next: '' } });
        return false;
      }
      await endLinks(from);
      const old = await addresses.look(from);
      const update = { $set: { email }, $unset: { next: '' }, $inc: { version: 1 } } as const;
      if ((await accounts().updateOne(taking, update)).matchedCount === 0) {
        await addresses.find(email); // removes it, unless the account has it by now
        return false;
      }
      if (old?.account === id) await addresses.remove(old);
      await endLinks(email, id);
      return true;
    },
  };
}

function documentOf(link: NewLink): LinkDocument {
  const { tokenHash, kind, createdAt, expiresAt } = link;
  const common = { _id: tokenHash, kind, owner: ownerOf(link), createdAt, removeAt: new Date(expiresAt) };
  if (link.kind === 'activate') {
    return { ...common, email: link.email, passwordHash: link.passwordHash, profile: link.profile };
  }
  return { ...common, email: link.kind === 'change' ? link.email : '', accountVersion: link.account.version };
}
