// Talks to the API. Every failure becomes an ApiError that a person can read.

import { token } from "./state.js";

export const base = document.documentElement.dataset.api;

export class ApiError extends Error {
  constructor(message, { status = 0, errors = [], type = "" } = {}) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.errors = errors;
    this.type = type;
  }
}

/** The address of a route with a query; the token of a signed link goes along. */
export function address(route, query) {
  const all = new URLSearchParams(query);
  const signed = token();
  if (signed) all.set("token", signed);
  const text = all.toString();
  return `${base}/${route}${text ? `?${text}` : ""}`;
}

/** The envelope {data, meta} of a route. */
export async function get(route, query, signal) {
  let response;
  try {
    response = await fetch(address(route, query), { signal, headers: { Accept: "application/json" } });
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

const sentence = (text) => {
  const whole = text[0].toUpperCase() + text.slice(1);
  return /[.!?]$/.test(whole) ? whole : `${whole}.`;
};

async function problem(response) {
  let body = {};
  try {
    body = await response.json();
  } catch {
    // Not JSON, such as a proxy's page: the status has to do.
  }
  const said = body.detail || body.title || `The server answered with status ${response.status}`;
  const unsaid = (body.errors ?? []).filter((one) => !said.includes(one.parameter)).map((one) => `${one.parameter} is ${one.value}, allowed: ${one.allowed}`);
  return new ApiError([said, ...unsaid].map(sentence).join(" "), { status: response.status, errors: body.errors, type: body.type });
}
