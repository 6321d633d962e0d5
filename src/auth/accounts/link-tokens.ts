import { opaqueTokens } from '../../tokens/opaque.ts';

/** Of links in mails. By the prefix none of them is taken for a token of another kind. */
export const { create: createLinkToken, hash: hashLinkToken } = opaqueTokens('hushbox_link_');
