import type { Picture } from './assets.ts';
import type { Values } from './template.ts';

/** The operator of this installation. Data: a name, a picture and addresses, never code. */
export type Operator = {
  name: string | undefined;
  logo: Picture | undefined;
  imprintUrl: string | undefined;
  privacyUrl: string | undefined;
};

/** What header and footer of every page show. */
export function frameOf({ name, logo, imprintUrl, privacyUrl }: Operator, hasAccounts: boolean): Values {
  return {
    hasAccounts,
    name: name ?? 'Hushbox',
    hasLogo: logo !== undefined,
    hasOurLogo: logo === undefined,
    hasImprint: imprintUrl !== undefined,
    imprintUrl: imprintUrl ?? '',
    hasPrivacy: privacyUrl !== undefined,
    privacyUrl: privacyUrl ?? '',
  };
}
