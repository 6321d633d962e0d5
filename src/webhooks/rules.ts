import type { Rules } from '../egress/destination.ts';

/** Where webhooks may go: plain http only where the operator lists the destination. */
export const RULES: Rules = { purpose: 'webhooks', anyPlainHttp: false, member: 'notify' };
