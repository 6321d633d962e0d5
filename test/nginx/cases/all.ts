import { addCalls } from './calls.ts';
import type { Add, HostileCase } from './case.ts';
import { addContent } from './content.ts';
import { addFraming } from './framing.ts';
import { addHeaders } from './headers.ts';
import { addLines } from './lines.ts';

/** Requests that no client should send, and some that are only unusual. */
export function listCases(): readonly HostileCase[] {
  const cases = new Map<string, HostileCase>();
  const add: Add = (name, pieces, options = {}) => {
    if (cases.has(name)) throw new TypeError(`there are two cases named ${name}`);
    cases.set(name, { name, pieces: Array.isArray(pieces) ? pieces : [pieces as string], ...options });
  };
  for (const addSome of [addFraming, addLines, addHeaders, addContent, addCalls]) addSome(add);
  return [...cases.values()];
}
