import type { Operation } from '../http/operation.ts';
import { operation, route } from '../http/operation.ts';
import type { Route } from '../http/routing.ts';
import { createPageOf } from './show.ts';
import type { Values } from './template.ts';

/** The pages of an account, by the names of their files: path, operation, and what a person does there. */
const PAGES = {
  'signin.html': pageAt('getSignInPage', '/signin', 'The page to sign in'),
  'register.html': pageAt('getRegisterPage', '/register', 'The page to register'),
  'forgotten.html': pageAt('getForgottenPage', '/forgotten', 'The page for a forgotten password'),
  'reset.html': pageAt('getResetPage', '/reset', 'The page to choose a new password, of a link in a mail'),
  'account.html': pageAt('getAccountPage', '/account', 'The page of the own account'),
} as const;

export const accountOperations: readonly Operation[] = Object.values(PAGES);

export type AccountPagesParts = {
  /** Whether anybody can register. */
  canRegister: boolean;
};

/** The pages hold nothing of an account: their scripts ask for it. */
export function accountRoutes({ canRegister }: AccountPagesParts, fixed: Values): Route[] {
  return Object.entries(PAGES).map(([name, page]) => {
    const show = createPageOf(name, { ...fixed, canRegister, isClosed: !canRegister });
    return route(page, [], ({ ctx }) => show(ctx));
  });
}

function pageAt(id: string, path: string, summary: string) {
  return operation(id, 'GET', path, {
    summary,
    answer: { status: 200, description: 'The page.', textType: 'text/html' },
    errors: [],
  });
}
