// A login that has ended looks like a lost connection; then the page itself knows where to go.

/** Load the page anew if it would now lead to the login. */
export async function reloadIfLoggedOut() {
  try {
    const answer = await fetch(location.href, { method: "HEAD", redirect: "manual" });
    if (answer.type === "opaqueredirect") location.reload();
  } catch {
    // The server is away: that is what the page says already.
  }
}
