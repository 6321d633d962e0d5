/** One result of a check. A problem needs somebody to act, a warning needs somebody to decide. */
export type Finding = {
  level: 'ok' | 'note' | 'warning' | 'problem';
  /** A sentence for people, without any secret value. */
  text: string;
  /** What to do. */
  advice?: string;
};

export function ok(text: string): Finding {
  return { level: 'ok', text };
}

export function note(text: string, advice?: string): Finding {
  return { level: 'note', text, ...(advice && { advice }) };
}

export function warning(text: string, advice: string): Finding {
  return { level: 'warning', text, advice };
}

export function problem(text: string, advice: string): Finding {
  return { level: 'problem', text, advice };
}
