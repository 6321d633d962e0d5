// Builds what the package holds, for `npm pack`: JavaScript and types, because Node refuses TypeScript in node_modules.
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';

const here = import.meta.dirname;
const compiler = join(here, '../node_modules/typescript/bin/tsc');
if (!existsSync(compiler)) {
  process.stderr.write('The compiler is missing: run `make build` in the checkout first.\n');
  process.exit(1);
}
rmSync(join(here, 'dist'), { recursive: true, force: true });
execFileSync(process.execPath, [compiler, '-p', join(here, 'tsconfig.build.json')], { stdio: 'inherit' });
copyFileSync(join(here, '../LICENSE'), join(here, 'LICENSE'));
