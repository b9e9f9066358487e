// Calls to the REST API, which lies below the page's own address.

/** What the API refused, or why it could not be asked: `errors` holds sentences by field. */
export class ApiError extends Error {
  constructor(status, errors) {
    super(Object.values(errors).flat().join(" "));
    this.status = status;
    this.errors = errors;
  }
}

const NO_ANSWER = { detail: "The server cannot be reached." };

/** Ask, and return the answer's JSON. Throws ApiError. */
export async function call(method, path, body) {
  const response = await send(method, path, body);
  const answer = await response.json().catch(() => null);
  if (response.ok) return answer;
  throw new ApiError(response.status, answer ?? { detail: `The server answered ${response.status}.` });
}

async function send(method, path, body) {
  const headers = { Accept: "application/json", "X-CSRFToken": csrfToken() };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  try {
    return await fetch(root() + path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch {
    throw new ApiError(0, NO_ANSWER);
  }
}

/** Where the dashboard is: "" at the top, "/dtps" if a project includes it as "dtps/". */
function root() {
  return document.body.dataset.root.replace(/\/$/, "");
}

function csrfToken() {
  return document.querySelector('meta[name="csrf-token"]').content;
}
