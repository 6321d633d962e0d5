/** English. A person reads these: what happened, then what to do. Plural forms are separated by `|`: one, other. */
export const en = {
  // Header and footer
  signIn: 'Sign in',
  yourAccount: 'Your account',
  imprint: 'Imprint',
  privacy: 'Privacy',
  api: 'API',
  status: 'Status',
  otherLanguage: 'ru',
  otherLanguageName: 'Русский',
  switchLoses: 'Change the language? The page loads again, and what is on it now is lost.',

  // On several pages
  busy: 'One moment…',
  copy: 'Copy',
  copied: 'Copied.',
  copyByHand: 'Press Ctrl+C or ⌘C to copy.',
  tooOld: 'This page does not work in this browser, which may be too old. Please use a newer one.',
  offline: 'No answer came. Check your connection and try again: what you typed is still here.',
  away: 'The server cannot answer right now. Try again in a moment: what you typed is still here.',
  limited: 'Too many tries in a short time. Try again after {time}.',
  httpsRequired: 'This needs HTTPS. Open this page again, with “https://” at the beginning of its address.',
  needsScript:
    'This page needs JavaScript, in a browser that is not too old. Turn JavaScript on for this address, and load the page again.',

  // Where there is nothing to see
  goneTitle: 'There is no secret here',
  goneWhy:
    'It was read, burned, has expired, or never existed. This page does not say which, on purpose. The link can also be damaged: compare it with the message that you got, to its last character.',
  goneAsk:
    'If the link is complete, tell the sender that you could not read the secret, and ask for a new link: someone else may have read this one.',
  shownTitle: 'The secret was shown here',
  shownWhy: 'It was shown in this browser, once, and the server no longer has it.',
  shownAsk: 'If you did not keep it, ask the sender to send it again, with a new link.',
  noReceiptTitle: 'There is no receipt here',
  noReceiptWhy:
    'The address can be damaged, or the receipt is too old: it is kept for seven days after its secret ends.',
  noPageTitle: 'There is no page here',
  noPageWhy:
    'The address is damaged or mistyped. Nothing was read. Compare it with the message that you got, to its last character.',
  misdirectedTitle: 'This address has an unknown name',
  misdirectedWhy: 'This server does not know the host name of this address. Nothing was read.',
  misdirectedAsk:
    'On the same machine, use “localhost” instead of the name. If the server is meant to have this name, its operator has to set PUBLIC_URL to the address with this name.',
  awayTitle: 'Hushbox cannot answer right now',
  awayNothingRead: 'Nothing was read: if the secret exists, it is still waiting.',
  awayAgain: 'This page tries again every five seconds.',

  // Status
  statusTitle: 'Status',
  statusUp: 'The service answers.',
  statusSilent: 'The service does not answer. Trying again…',
  statusAway: 'The figures are temporarily unavailable.',
  statusRequests: 'Requests answered',
  statusUptime: 'Running for',
  statusStarted: 'Started',
  statusRate: 'Requests a second, over the last minute',
  statusHint: 'This page sends one request a second. It is counted above, but not in the rate.',

  // What became of a secret
  receiptTitle: 'Receipt',
  receiptWaiting: 'Not read yet.',
  receiptRead: 'The secret was read.',
  receiptBurned: 'Burned: the link no longer works.',
  receiptExpired: 'Expired unread.',
  receiptCreatedAt: 'Created',
  receiptExpiresAt: 'Expires',
  receiptReadAt: 'Read',
  receiptBurnedAt: 'Burned',
  receiptExpiredAt: 'Expired',
  receiptWrongTries: 'Wrong phrases tried',
  receiptReads: 'Times handed over',
  receiptHint: 'A receipt shows what became of a secret. It cannot read the secret.',
};

/** What the pages say, in one language. `{name}` is filled by a script, `{{name}}` by the server. */
export type Texts = Readonly<Record<keyof typeof en, string>>;
