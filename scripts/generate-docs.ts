import { readFileSync, writeFileSync } from 'node:fs';
import { listSettings, readConfig, type Setting } from '../src/config/config.ts';
import { createDocument, EVERYTHING } from '../src/openapi.ts';

/** Writes the documents that are generated from the code; with `--check`, fails if one on disk differs. */
const GENERATED: Readonly<Record<string, () => string>> = {
  'docs/configuration.md': describeConfiguration,
  'docs/openapi.json': describeApi,
};

/** The headings of docs/configuration.md, with the settings under each. */
const TOPICS: Readonly<Record<string, readonly string[]>> = {
  'Set these in production': ['NODE_ENV', 'MASTER_KEY', 'PUBLIC_URL', 'CREATE_TOKEN'],
  Network: [
    ...['HTTP_PORT', 'HOST', 'SOCKET_DIR', 'TRUSTED_PROXIES', 'CORS_ORIGINS'],
    ...['INTERNAL_PORT', 'INTERNAL_HOST', 'INTERNAL_TOKEN'],
  ],
  'What is served': ['SERVICES', 'WORKERS', 'AUTH_URL', 'KAFKA_URL'],
  'Storage and keys': ['STORAGE_URL', 'DATA_DIR', 'FENCE_FILE', 'MASTER_KEY_PREVIOUS'],
  Limits: [
    ...['SECRET_MAX_BYTES', 'SECRET_TTL_MAX_SECONDS', 'STORAGE_MAX_BYTES', 'BODIES_MAX_BYTES'],
    ...['LIMITS', 'CREATES_PER_MINUTE', 'CLIENT_MAX_SECRETS', 'CLIENT_MAX_BYTES'],
  ],
  Sessions: ['SESSION_IDLE_SECONDS', 'BROWSER_IDLE_SECONDS', 'SESSION_MAX_SECONDS', 'SINGLE_SESSION'],
  'Registration and mail': ['REGISTRATION', 'SMTP_URL', 'MAIL_FROM'],
  'Signed requests': ['JWT_HEX_SECRET', 'PROXY_USER', 'PROXY_TOKEN', 'PROXY_OPEN'],
  'Calls out': ['EGRESS_ALLOW', 'EGRESS_DNS'],
  Pages: ['OPERATOR_NAME', 'OPERATOR_LOGO', 'IMPRINT_URL', 'PRIVACY_URL'],
  Log: ['LOG_LEVEL'],
};
const UNITS = [
  ['GiB', 1024 ** 3],
  ['MiB', 1024 ** 2],
] as const;

/** @throws TypeError where a setting is under no heading, or a name under one is no setting. */
function describeTopics(): string {
  const rows = new Map(listSettings().map((setting) => [setting.name, describeSetting(setting)]));
  const topics = Object.entries(TOPICS).map(([topic, names]) => {
    const lines = names.map((name) => {
      const row = rows.get(name);
      if (row === undefined || !rows.delete(name)) throw new TypeError(`${name} is no setting, or is listed twice`);
      return row;
    });
    return `## ${topic}\n\n| variable | default | meaning |\n|---|---|---|\n${lines.join('\n')}\n`;
  });
  if (rows.size > 0) throw new TypeError(`Under no heading: ${[...rows.keys()].join(', ')}`);
  return topics.join('\n');
}

function describeSetting({ name, defaultValue, description, canBeFile }: Setting): string {
  return `| \`${name}\`${canBeFile ? ' ¹' : ''} | ${defaultValue && describeDefault(name, defaultValue)} | ${description} |`;
}

function describeDefault(name: string, value: string): string {
  const [unit, bytes] = (name.endsWith('_BYTES') && UNITS.find(([, size]) => Number(value) % size === 0)) || [];
  return bytes === undefined ? `\`${value}\`` : `\`${value}\` (${Number(value) / bytes} ${unit})`;
}

function describeConfiguration(): string {
  return `<!-- Made by \`make docs\` from src/config/schema.ts: change it there. -->
# Configuration

Set environment variables; they are read once, at the start. An empty variable counts as absent. A bad value stops
the start: the message names every bad variable and shows no value. Options in a MongoDB URL that only the driver
knows are checked when the driver is loaded, after everything else.

A variable with ¹ can be given as \`NAME_FILE\` instead: the path of a file that contains the value. Blanks around the
value do not count. These stop the start: both at once, an empty file (except for \`MASTER_KEY_PREVIOUS\`), and a file
that cannot be read.

${describeTopics()}
## Evidence

| claim | tests |
|---|---|
| Every bad variable is named, and no value is shown | test/config/config.test.ts, test/processes/start.test.ts |
`;
}

function describeApi(): string {
  const { SECRET_MAX_BYTES, SECRET_TTL_MAX_SECONDS } = readConfig({});
  const limits = { secretMaxBytes: SECRET_MAX_BYTES, ttlMaxSeconds: SECRET_TTL_MAX_SECONDS };
  return `${JSON.stringify(createDocument({ limits, needsToken: false, publicUrl: undefined, served: EVERYTHING }), undefined, 2)}\n`;
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

const isCheck = process.argv.includes('--check');
for (const [path, describe] of Object.entries(GENERATED)) {
  const text = describe();
  if (!isCheck) writeFileSync(path, text);
  else if (readIfThere(path) !== text) {
    process.stderr.write(`${path} is stale: run \`make docs\`\n`);
    process.exitCode = 1;
  }
}
