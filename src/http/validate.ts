import type { z } from 'zod';
import { AppError } from '../errors.ts';

type Issue = z.core.$ZodIssue;

/**
 * Checks input against a schema.
 * @param whole what the input is called, for the answer.
 * @throws AppError INVALID_REQUEST, which names each wrong member. Of unknown members it names the allowed ones instead,
 *   because the name of an unknown member can be a secret typed in the wrong place.
 */
export function validate<T extends z.ZodObject>(schema: T, input: unknown, whole = 'The body'): z.output<T> {
  const result = schema.safeParse(input);
  if (result.success) return result.data;
  const unknown = new Set(result.error.issues.filter(isUnknownMember).map(memberOf));
  // A rule about the whole of an object has not seen the unknown member: what it says may not be true.
  const issues = result.error.issues.filter((issue) => issue.code !== 'custom' || !unknown.has(memberOf(issue)));
  const tooLarge = issues.find((issue) => issue.code === 'custom' && issue.params?.tooLarge);
  throw new AppError(tooLarge ? 'TOO_LARGE' : 'INVALID_REQUEST', {
    detail: issues.map((issue) => sentence(schema, issue, whole)).join('; '),
  });
}

function isUnknownMember({ code }: Issue): boolean {
  return code === 'unrecognized_keys';
}

function memberOf({ path }: Issue): string {
  return path.join('.');
}

function sentence(schema: z.ZodObject, issue: Issue, whole: string): string {
  const member = memberOf(issue);
  if (!isUnknownMember(issue)) return `${member} ${issue.message}`;
  const known = Object.keys(shapeAt(schema, issue.path)).join(', ');
  return `${member || whole} has an unknown member; allowed are: ${known}`;
}

function shapeAt(schema: z.ZodObject, path: readonly PropertyKey[]): Record<string, unknown> {
  let { shape } = schema;
  for (const name of path) shape = unwrap(shape[String(name)]).shape;
  return shape;
}

type Wrapper = { def: { type: string; innerType?: unknown; in?: Wrapper; out?: unknown } };

/** The object inside of optional, transform and preprocess. */
function unwrap(type: unknown): z.ZodObject {
  const { def } = type as Wrapper;
  const inner = def.innerType ?? (def.in?.def.type === 'transform' ? def.out : def.in);
  return inner ? unwrap(inner) : (type as z.ZodObject);
}
