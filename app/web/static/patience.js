// Trying again by itself what the service cannot do just now.

const LONGEST_WAIT_SECONDS = 30;
const MOST_TRIES = 40;

/**
 * Do something that may be refused for a while (not ready, overloaded, too many requests).
 *
 * Before each wait `onWait(problem, seconds)` is told; aborting the signal ends it, with an
 * AbortError. Rejects with what other problem there is.
 */
export async function patiently(attempt, onWait, signal) {
  for (let tries = 1; ; tries++) {
    try {
      return await attempt();
    } catch (problem) {
      const waits = problem.passes && problem.retrySeconds <= LONGEST_WAIT_SECONDS;
      if (!waits || tries === MOST_TRIES) throw problem;
      const seconds = Math.max(1, problem.retrySeconds);
      onWait(problem, seconds);
      await pause(seconds, signal);
    }
  }
}

function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, seconds * 1000);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}
