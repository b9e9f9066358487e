// The live feed: one WebSocket, opened again whenever it drops or falls silent.

const FIRST_WAIT = 500; // ms
const LONGEST_WAIT = 10_000; // ms
const SILENCE = 8_000; // ms: one message a second is due, so this socket is dead

/**
 * Call `onMessage` with each JSON message from `path`, and `onLost` with the moment of the next try
 * when the connection is lost. Returns {retry, stop}.
 */
export function follow(path, { onMessage, onLost }) {
  const url = new URL(path, location.href);
  url.protocol = url.protocol.replace("http", "ws");
  let wait = FIRST_WAIT;
  let socket, timer;

  function open() {
    stop();
    socket = new WebSocket(url);
    socket.onmessage = hear;
    socket.onclose = lose;
    timer = setTimeout(lose, SILENCE);
  }

  function hear(event) {
    wait = FIRST_WAIT;
    clearTimeout(timer);
    timer = setTimeout(lose, SILENCE);
    onMessage(JSON.parse(event.data));
  }

  function lose() {
    stop();
    onLost(Date.now() + wait);
    timer = setTimeout(open, wait);
    wait = Math.min(wait * 2, LONGEST_WAIT);
  }

  function stop() {
    clearTimeout(timer);
    if (!socket) return;
    socket.onmessage = socket.onclose = null; // a dead peer may keep it closing for long
    socket.close();
    socket = null;
  }

  open();
  return { retry: open, stop };
}
