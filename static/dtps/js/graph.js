// Draws who waits for whom: layers from left to right, in SVG.

import { count } from "./format.js";
import { inWords } from "./workflow-facts.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 168, HEIGHT = 44, ACROSS = 64, DOWN = 14, EDGE = 8; // of boxes and the room between them
const LETTERS = 20; // of a label
const SWEEPS = 4; // over the layers, to have fewer lines cross
const ORDER = ["failed", "expired", "cancelled", "processing", "assigned", "retrying", "waiting", "scheduled", "pending", "completed"];

/** Draw a graph as the API gives it, in place of what is there. */
export function draw(place, { nodes, links }) {
  const layers = layered(nodes, links);
  const at = places(layers);
  const height = Math.max(...layers.map((layer) => layer.length)) * (HEIGHT + DOWN) - DOWN + 2 * EDGE;
  const width = layers.length * (WIDTH + ACROSS) - ACROSS + 2 * EDGE;
  const picture = element("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img" });
  picture.setAttribute("aria-label", `${nodes.length} boxes in ${layers.length} layers`);
  for (const [from, to] of links) {
    if (at.has(from) && at.has(to)) picture.append(line(at.get(from), at.get(to)));
  }
  for (const node of nodes) picture.append(box(node, at.get(node.key)));
  place.replaceChildren(picture);
}

/** The nodes by layer; inside of one near those that they are linked with. */
function layered(nodes, links) {
  const layers = [];
  for (const node of nodes) (layers[node.layer] ??= []).push(node);
  const found = layers.filter(Boolean); // no layer is empty, unless its tasks are in other boxes
  const near = neighbours(links);
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    const rank = ranks(found);
    const order = sweep % 2 ? [...found].reverse() : found;
    for (const layer of order) {
      const wish = new Map(layer.map(({ key }) => [key, mean(near.get(key), rank) ?? rank.get(key)]));
      layer.sort((a, b) => wish.get(a.key) - wish.get(b.key) || rank.get(a.key) - rank.get(b.key));
      layer.forEach(({ key }, n) => rank.set(key, (n + 0.5) / layer.length));
    }
  }
  return found;
}

function neighbours(links) {
  const near = new Map();
  for (const [from, to] of links) {
    near.set(from, [...(near.get(from) ?? []), to]);
    near.set(to, [...(near.get(to) ?? []), from]);
  }
  return near;
}

/** Where each node stands in its layer, from 0 to 1. */
function ranks(layers) {
  return new Map(layers.flatMap((layer) => layer.map(({ key }, n) => [key, (n + 0.5) / layer.length])));
}

function mean(keys = [], rank) {
  const known = keys.map((key) => rank.get(key)).filter((value) => value !== undefined);
  return known.length ? known.reduce((sum, value) => sum + value, 0) / known.length : undefined;
}

/** The upper left corner of each box; a layer stands in the middle of the highest one. */
function places(layers) {
  const most = Math.max(...layers.map((layer) => layer.length));
  return new Map(
    layers.flatMap((layer, across) => {
      const top = ((most - layer.length) * (HEIGHT + DOWN)) / 2;
      return layer.map(({ key }, down) => [
        key,
        { x: EDGE + across * (WIDTH + ACROSS), y: EDGE + top + down * (HEIGHT + DOWN) },
      ]);
    }),
  );
}

function line(from, to) {
  const [x1, y1, x2, y2] = [from.x + WIDTH, from.y + HEIGHT / 2, to.x, to.y + HEIGHT / 2];
  const bend = Math.max((x2 - x1) / 2, ACROSS / 2);
  return element("path", { class: "link-line", d: `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}` });
}

function box({ label, statuses }, { x, y }) {
  const group = element("g", { class: "node", transform: `translate(${x} ${y})` });
  const total = Object.values(statuses).reduce((sum, number) => sum + number, 0);
  const said = total === 1 ? Object.keys(statuses)[0] : inWords(statuses);
  group.append(
    text("title", {}, `${label}: ${said}`),
    element("rect", { class: "node-box", width: WIDTH, height: HEIGHT, rx: 8 }),
    text("text", { class: "node-label", x: 12, y: 18 }, cut(label)),
    text("text", { class: "node-status", x: 12, y: 33 }, total === 1 ? said : `${count(total)} tasks`),
    ...shares(statuses, total),
  );
  if (total === 1) group.dataset.status = said;
  return group;
}

/** A strip at the lower edge: which part of the tasks has which status. */
function shares(statuses, total) {
  let x = 8;
  return ORDER.filter((status) => statuses[status]).map((status) => {
    const width = (statuses[status] / total) * (WIDTH - 16);
    const share = element("rect", { class: "node-share", x, y: HEIGHT - 4, width, height: 2 });
    share.dataset.status = status;
    x += width;
    return share;
  });
}

function cut(label) {
  const letters = [...label];
  return letters.length > LETTERS ? `${letters.slice(0, LETTERS - 1).join("")}…` : label;
}

function text(name, attributes, said) {
  const made = element(name, attributes);
  made.textContent = said;
  return made;
}

function element(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}
