import { formatInstant } from '../http/instant.ts';
import type { Values } from './template.ts';
import type { Texts } from './texts/en.ts';
import { formatUtc, type Language } from './texts/texts.ts';

export type Receipt = {
  state: 'waiting' | 'read' | 'burned' | 'expired';
  createdAt: number;
  expiresAt: number;
  endedAt: number | undefined;
  wrongTries: number;
  reads: number;
};

/** What the page says in each state: a sentence, what it means, and the name of the last step. */
const WORDS = {
  waiting: ['followWaiting', 'followWaitingText', 'stepWaiting'],
  read: ['followRead', 'followReadText', 'stepRead'],
  burned: ['followBurned', 'followBurnedText', 'stepBurned'],
  expired: ['followExpired', 'followExpiredText', 'stepExpired'],
} as const;

/** What became of a secret, for receipt.html. */
export function valuesOfReceipt(receipt: Receipt, texts: Texts, language: Language): Values {
  const { state, createdAt, expiresAt, endedAt, wrongTries, reads } = receipt;
  const [sentence, explanation, step] = WORDS[state];
  const endAt = endedAt ?? expiresAt;
  return {
    state,
    sentence: texts[sentence],
    explanation: texts[explanation],
    createdAt: formatInstant(createdAt),
    createdText: formatUtc(language, createdAt),
    endName: texts[step],
    endAt: formatInstant(endAt),
    endText: formatUtc(language, endAt),
    isWaiting: state === 'waiting',
    hasTries: wrongTries > 0,
    wrongTries: String(wrongTries),
    wasRepeated: reads > 1,
    reads: String(reads),
  };
}
