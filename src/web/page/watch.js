// Looks again and again at something that somebody else changes.

const FIRST_LOOK_MS = 3_000;
const LONGEST_PAUSE_MS = 60_000;

/**
 * Looks at growing intervals while the page is seen, and at once when somebody comes back to it.
 * @param {() => Promise<boolean>} look whether to look again
 */
export async function watch(look) {
  for (let pauseMs = FIRST_LOOK_MS; ; pauseMs = Math.min(pauseMs * 1.5, LONGEST_PAUSE_MS)) {
    await pauseUntilSeen(pauseMs);
    if (!document.hidden && !(await look())) return;
  }
}

/**
 * @param {number} ms
 * @returns {Promise<void>} ends early when somebody comes back
 */
function pauseUntilSeen(ms) {
  return new Promise((resolve) => {
    const timer = setTimeout(end, ms);
    function end() {
      clearTimeout(timer);
      removeEventListener('focus', end);
      document.removeEventListener('visibilitychange', end);
      resolve();
    }
    addEventListener('focus', end);
    document.addEventListener('visibilitychange', end);
  });
}
