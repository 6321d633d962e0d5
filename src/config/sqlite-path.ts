/**
 * What follows `sqlite:` is a plain path. Other programs take a URL there, and what looks like one would be a database in
 * a place that nobody means.
 */
const FAULTS: readonly (readonly [RegExp, string])[] = [
  [/^$|:memory:/, 'must be sqlite:PATH or mongodb://…'],
  [
    /^\/\/|^file:/i,
    'must be a path right after sqlite: (sqlite:./data/hushbox.db or sqlite:/var/lib/hushbox/hushbox.db), not a URL',
  ],
  [/^~/, 'must be a full path after sqlite: (sqlite:/var/lib/hushbox/hushbox.db), because ~ stands for nothing here'],
  [/[$?]/, 'must be a plain path after sqlite:, without variables ($) and options (?)'],
  [/%[0-9a-f]{2}/i, 'must be a plain path after sqlite:, because %20 and the like are not decoded'],
  [/^\s|\s$/, 'must be a path that neither begins nor ends with a blank'],
  [/(?:^|\/)\.{0,2}$/, 'must be the path of a file after sqlite:, not of a folder'],
];

/** @param path what follows `sqlite:`. @returns what is wrong with it, and what to write instead. */
export function faultOfSqlitePath(path: string): string | undefined {
  return FAULTS.find(([form]) => form.test(path))?.[1];
}
