// Talks to the API. Every failure becomes an ApiError that a person can read.

const base = document.documentElement.dataset.api;

export class ApiError extends Error {
  constructor(message, { status = 0, errors = [] } = {}) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.errors = errors;
  }
}

/** The address of a route with the page's query and the route's own parameters. */
export function address(route, query, extra = {}) {
  const all = new URLSearchParams(query);
  for (const [key, value] of Object.entries(extra)) all.set(key, value);
  const text = all.toString();
  return `${base}/${route}${text ? `?${text}` : ""}`;
}

/** The envelope {data, meta} of a route. */
export async function get(route, query, extra, signal) {
  let response;
  try {
    response = await fetch(address(route, query, extra), { signal, headers: { Accept: "application/json" } });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("The server cannot be reached.");
  }
  if (!response.ok) throw await problem(response);
  try {
    return await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("The server's answer cannot be read.", { status: response.status });
  }
}

async function problem(response) {
  let body = {};
  try {
    body = await response.json();
  } catch {
    // Not JSON, such as a proxy's page: the status has to do.
  }
  const wrong = (body.errors ?? []).map((one) => {
    const allowed = Array.isArray(one.allowed) ? one.allowed.join(", ") : one.allowed;
    return `${one.parameter}=${one.value}${allowed ? ` (allowed: ${allowed})` : ""}`;
  });
  const said = body.detail || body.title || `The server answered with status ${response.status}.`;
  const missing = wrong.filter((text) => !said.includes(text.split(" ")[0]));
  return new ApiError([said, missing.join("; ")].filter(Boolean).join(" "), { status: response.status, errors: body.errors });
}
