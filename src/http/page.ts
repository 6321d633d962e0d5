import type { Context } from 'koa';
import type { AppError } from '../errors.ts';
import { prefersPage, showErrorsWith } from './respond.ts';

/** How a browser is answered on a path that answers programs with JSON. */
export type Page<T> = {
  show(ctx: Context, found: T): void;
  showError(ctx: Context, error: AppError): void;
};

/**
 * Answers a browser (`Accept` prefers HTML) with a page, errors included.
 * @returns the JSON for everybody else; undefined when the page was shown.
 */
export async function pageOrJson<T, Body>(
  ctx: Context,
  page: Page<T>,
  find: () => Promise<T>,
  toJson: (found: T) => Body,
): Promise<Body | undefined> {
  if (!prefersPage(ctx)) return toJson(await find());
  showErrorsWith(ctx, page.showError);
  page.show(ctx, await find());
  return undefined;
}
