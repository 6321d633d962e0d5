/** A mail as its reader sees it. */
export type ReceivedMail = {
  /** As the mail server was told. */
  from: string;
  to: string;
  /** By their names in small letters, unfolded and decoded. */
  headers: ReadonlyMap<string, string>;
  subject: string;
  text: string;
  html: string;
  /** The line of the text that is a link. */
  link: string | undefined;
  raw: string;
};

export function parseMessage(raw: string, { from, to }: { from: string; to: string }): ReceivedMail {
  const { headers, body } = splitPart(raw);
  const [, boundary] = /boundary="?([^";]+)"?/.exec(headers.get('content-type') ?? '') ?? [];
  const parts =
    boundary === undefined
      ? [raw]
      : body
          .split(`--${boundary}`)
          .slice(1, -1)
          .map((part) => part.slice(2));
  const contentOf = (type: string): string => {
    const found = parts.map(splitPart).find((part) => part.headers.get('content-type')?.startsWith(type));
    return found ? decodeBody(found.body, found.headers.get('content-transfer-encoding')) : '';
  };
  const text = contentOf('text/plain');
  const link = text.split('\n').find((line) => /^https?:\/\/\S+$/.test(line));
  return { from, to, headers, subject: headers.get('subject') ?? '', text, html: contentOf('text/html'), link, raw };
}

function splitPart(part: string): { headers: Map<string, string>; body: string } {
  const end = part.indexOf('\r\n\r\n');
  const lines = part
    .slice(0, end)
    .replaceAll(/\r\n[ \t]/g, ' ')
    .split('\r\n');
  const headers = lines.map((line): [string, string] => {
    const at = line.indexOf(':');
    return [line.slice(0, at).toLowerCase(), decodeWords(line.slice(at + 1).trim())];
  });
  return { headers: new Map(headers), body: part.slice(end + 4) };
}

/** RFC 2047. */
function decodeWords(text: string): string {
  return text
    .replaceAll(/\?= =\?/g, '?==?')
    .replaceAll(/=\?utf-8\?([bq])\?([^?]*)\?=/gi, (_, kind: string, word: string) =>
      kind.toLowerCase() === 'b' ? Buffer.from(word, 'base64').toString() : decodeQuoted(word.replaceAll('_', ' ')),
    );
}

function decodeBody(body: string, encoding = '7bit'): string {
  const decoded =
    encoding === 'base64'
      ? Buffer.from(body, 'base64').toString()
      : encoding === 'quoted-printable'
        ? decodeQuoted(body.replaceAll('=\r\n', ''))
        : body;
  return decoded.replaceAll('\r\n', '\n');
}

function decodeQuoted(text: string): string {
  const bytes = text.replaceAll(/=([\dA-F]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(bytes, 'latin1').toString();
}
