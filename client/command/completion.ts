import { COMMANDS, COMMON, type OptionName, takesValue } from './arguments.ts';
import { WrongUse } from './failure.ts';
import { HELP } from './help.ts';

const NAMES = Object.keys(HELP);
/** What these complete beside options: files. */
const WITH_FILES = ['send', 'answer'];

const BY_SHELL: Readonly<Record<string, () => string>> = { bash: forBash, zsh: forZsh, fish: forFish };

export function completionFor(shell: string | undefined): string {
  const make = shell !== undefined && Object.hasOwn(BY_SHELL, shell) ? BY_SHELL[shell] : undefined;
  if (!make) throw new WrongUse('which shell: bash, zsh or fish?');
  return make();
}

function optionsOf(name: string): OptionName[] {
  return name in COMMANDS ? [...COMMANDS[name as keyof typeof COMMANDS], ...COMMON] : [];
}

function words(name: string): string {
  if (name === 'completion') return Object.keys(BY_SHELL).join(' ');
  return optionsOf(name)
    .map((option) => `--${option}`)
    .join(' ');
}

function cases(): string {
  return NAMES.map((name) => `    ${name}) words='${words(name)}' ;;`).join('\n');
}

function forBash(): string {
  return `# Completion of hushbox for bash.
_hushbox() {
  local word=\${COMP_WORDS[COMP_CWORD]} words
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W '${NAMES.join(' ')} help' -- "$word"))
    return
  fi
  case \${COMP_WORDS[1]} in
    help) words='${NAMES.join(' ')}' ;;
${cases()}
  esac
  case \${COMP_WORDS[COMP_CWORD - 1]} in
    --out) COMPREPLY=($(compgen -d -- "$word")); return ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$word"))
  case \${COMP_WORDS[1]}:$word in
    *:-*) ;;
    ${WITH_FILES.map((name) => `${name}:*`).join(' | ')}) COMPREPLY+=($(compgen -f -- "$word")) ;;
  esac
}
complete -o filenames -F _hushbox hushbox
`;
}

function forZsh(): string {
  return `#compdef hushbox
_hushbox() {
  local words_of
  if (( CURRENT == 2 )); then
    compadd -- ${NAMES.join(' ')} help
    return
  fi
  case $words[2] in
    help) words_of='${NAMES.join(' ')}' ;;
${cases().replaceAll("words='", "words_of='")}
  esac
  case $words[CURRENT-1] in
    --out) _files -/; return ;;
  esac
  compadd -- \${=words_of}
  case $words[2] in
    ${WITH_FILES.join(' | ')}) _files ;;
  esac
}
if [ "$funcstack[1]" = _hushbox ]; then _hushbox "$@"; else compdef _hushbox hushbox; fi
`;
}

function forFish(): string {
  const list = `complete -c hushbox -n __fish_use_subcommand -f -a '${NAMES.join(' ')} help'`;
  const lines = NAMES.flatMap((name) => {
    const when = `complete -c hushbox -n '__fish_seen_subcommand_from ${name}'`;
    const operands = WITH_FILES.includes(name) ? [] : [`${when} -f`];
    if (name === 'completion') return [`${when} -f -a '${words(name)}'`];
    const options = optionsOf(name).map((option) => {
      if (option === 'out') return `${when} -l out -r -a '(__fish_complete_directories)'`;
      return `${when} -l ${option}${takesValue(option) ? ' -x' : ''}`;
    });
    return [...operands, ...options];
  });
  return `# Completion of hushbox for fish.\n${[list, ...lines].join('\n')}\n`;
}
