// What an operator may have a worker do: for its menu and its drawer.

import { call } from "./api.js";
import { confirmed } from "./confirm.js";
import { notify } from "./notices.js";

const SURE = {
  stop: {
    title: (id) => `Stop ${id}?`,
    text: "Its running tasks finish first; what it has not started goes back to the queue.",
    action: "Stop the worker",
  },
  restart: {
    title: (id) => `Restart ${id}?`,
    text: "It finishes what runs and gives the rest back; then it begins anew, with the code that is there now, under a new id.",
    action: "Restart",
  },
};

const DONE = {
  pause: (id) => `Worker ${id} is told to pause.`,
  resume: (id) => `Worker ${id} is told to go on.`,
  restart: (id) => `Worker ${id} is restarting.`,
  stop: (id) => `Worker ${id} is stopping.`,
};

/** The names of the actions that make sense for a worker. */
export function possible({ status }) {
  if (status === "inactive" || status === "gone") return [];
  if (status === "stopping") return ["stacks"];
  return [status === "paused" ? "resume" : "pause", "scale", "restart", "stacks", "stop"];
}

/**
 * Returns a function that carries out an action for a worker. Throws ApiError.
 * `scale(worker)` and `stacks(worker)` open what asks for more.
 */
export function workerActions({ scale, stacks }) {
  return async (action, worker) => {
    if (action === "scale") return scale(worker);
    if (action === "stacks") return stacks(worker);
    const { id } = worker;
    const sure = SURE[action];
    if (sure && !(await confirmed({ ...sure, title: sure.title(id) }))) return undefined;
    await call("POST", `/api/workers/${action}?id=${encodeURIComponent(id)}`);
    return notify(DONE[action](id));
  };
}
