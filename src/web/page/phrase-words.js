// Phrases that people can say aloud. Loaded, as its list is, when somebody asks for one.

/** 51 bits: a server lets nobody guess more than 178 times in a week. */
const WORDS = 4;
const PATIENCE_MS = 15_000;

/**
 * @returns {Promise<string>} words of the EFF's long list, with blanks between them
 * @throws where the list does not come
 */
export async function makePhrase() {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), PATIENCE_MS);
  try {
    const answer = await fetch(new URL('words.txt', import.meta.url), { signal: controller.signal });
    if (!answer.ok) throw new Error('no list of words');
    const words = (await answer.text()).split('\n');
    return Array.from({ length: WORDS }, () => words[drawBelow(words.length)]).join(' ');
  } finally {
    clearTimeout(timer);
  }
}

/**
 * @param {number} limit at most 65,536
 * @returns {number} each with the same probability
 */
function drawBelow(limit) {
  const [number = 0] = crypto.getRandomValues(new Uint16Array(1));
  const isFair = number < 65_536 - (65_536 % limit);
  return isFair ? number % limit : drawBelow(limit);
}
