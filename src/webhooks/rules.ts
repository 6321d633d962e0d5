import type { Rules } from '../egress/destination.ts';

/** Where webhooks may go: plain http only to destinations that the operator lists. */
export const RULES: Rules = { purpose: 'webhooks', anyPlainHttp: false, member: 'notify' };
