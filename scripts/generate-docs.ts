import { readFileSync, writeFileSync } from 'node:fs';
import { listSettings, readConfig, type Setting } from '../src/config/config.ts';
import { createDocument, EVERYTHING } from '../src/openapi.ts';

/** Writes the documents that are generated from the code; with `--check`, fails if one on disk differs. */
const GENERATED: Readonly<Record<string, () => string>> = {
  'docs/configuration.md': describeConfiguration,
  'docs/openapi.json': describeApi,
};

function describeConfiguration(): string {
  const rows = listSettings().map(
    ({ name, defaultValue, description, canBeFile }: Setting) =>
      `| \`${name}\`${canBeFile ? ' ¹' : ''} | ${defaultValue && `\`${defaultValue}\``} | ${description} |`,
  );
  return `<!-- Made by \`make docs\` from src/config/schema.ts: change it there. -->
# Configuration

Set environment variables; they are read once, at the start. An empty variable counts as absent. A bad value stops
the start: the message names every bad variable and shows no value. Options in a MongoDB URL that only the driver
knows are checked when the driver is loaded, after everything else.

| variable | default | meaning |
|---|---|---|
${rows.join('\n')}

¹ Can be given as \`NAME_FILE\` instead: the path of a file that contains the value. Blanks around the value do not
count. These stop the start: both at once, an empty file (except for \`MASTER_KEY_PREVIOUS\`), and a file that cannot
be read.

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
