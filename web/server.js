// Talks to the server: requests, the WebSocket, the names of results.

const CLIENT_KEY = 'vitascope.client';

/** The id under which this tab's jobs run; kept over a reload, so that a running job is found again. */
export const clientId = (() => {
  let id = sessionStorage.getItem(CLIENT_KEY);
  if (!id) {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    id = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
    sessionStorage.setItem(CLIENT_KEY, id);
  }
  return id;
})();

/** What went wrong, in words for people; `body` is the server's JSON. */
export class Refusal extends Error {
  constructor(message, body) {
    super(message);
    this.body = body;
  }
}

async function request(path, options = {}) {
  // The header tells the server that a page is asking, not a script.
  const headers = { 'Comfy-User': '', ...options.headers };
  let response;
  try {
    response = await fetch(`api/${path}`, { ...options, headers });
  } catch {
    throw new Refusal('The server does not answer.');
  }
  if (response.status === 401) {
    location.assign('login');
    throw new Refusal('Please log in.');
  }
  const text = await response.text();
  let body = null;
  try {
    body = text ? JSON.parse(text) : null;
  } catch {
    if (response.ok) throw new Refusal(`The server's answer to ${path} is not JSON.`);
  }
  if (!response.ok) throw new Refusal(explain(body) || `The server answered ${response.status}.`, body);
  return body;
}

/** All that a refusal says: of the prompt as a whole, then of each node. */
function explain(body) {
  if (!body?.error) return '';
  if (typeof body.error === 'string') return body.error;
  const lines = [body.error.message];
  for (const node of Object.values(body.node_errors ?? {})) {
    for (const error of node.errors) lines.push(`${node.class_type}: ${error.message} (${error.details})`);
  }
  return lines.join('\n');
}

const post = (path, value) =>
  request(path, { method: 'POST', body: JSON.stringify(value), headers: { 'Content-Type': 'application/json' } });

export const nodeInfo = async (name) => (await request(`object_info/${name}`))[name];
export const history = (count) => request(`history?max_items=${count}`);
export const jobResult = async (id) => (await request(`history/${encodeURIComponent(id)}`))[id];
export const queue = () => request('queue');
export const submit = (prompt) =>
  post('prompt', { prompt, client_id: clientId, extra_data: { preview_method: 'auto' } });
export const interrupt = (id) => post('interrupt', { prompt_id: id });
export const withdraw = (id) => post('queue', { delete: [id] });

/** Uploads an image; gives the name that LoadImage knows it by. */
export async function upload(file) {
  const form = new FormData();
  form.append('image', file, file.name || 'image.png');
  const stored = await request('upload/image', { method: 'POST', body: form });
  return stored.subfolder ? `${stored.subfolder}/${stored.name}` : stored.name;
}

/** Whether the login page is in use. */
export async function hasLogin() {
  const response = await fetch('login', { redirect: 'manual' });
  return response.type !== 'opaqueredirect';
}

/** The address of a result file. */
export function fileAddress(file) {
  const query = new URLSearchParams({ filename: file.filename, subfolder: file.subfolder ?? '', type: file.type ?? 'output' });
  return `api/view?${query}`;
}

/** The videos and pictures among the outputs of a job. */
export function resultFiles(outputs) {
  const files = [];
  for (const output of Object.values(outputs ?? {})) {
    const animated = output.animated?.[0] === true;
    for (const file of output.images ?? []) {
      const isVideo = animated && !/\.(webp|png)$/i.test(file.filename);
      files.push({ ...file, isVideo });
    }
    for (const file of output.gifs ?? []) files.push({ ...file, isVideo: (file.format ?? '').startsWith('video/') });
  }
  return files.filter((file) => file.type !== 'temp');
}

/** Listens until the page is closed; opens again when the connection is lost. */
export function listen({ onMessage, onPreview, onOpen, onLost }) {
  const address = new URL(`ws?clientId=${clientId}`, document.baseURI);
  address.protocol = address.protocol === 'https:' ? 'wss:' : 'ws:';
  const connect = () => {
    const socket = new WebSocket(address);
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => {
      socket.send(JSON.stringify({ type: 'feature_flags', data: { supports_preview_metadata: true } }));
      onOpen();
    };
    socket.onmessage = ({ data }) => {
      if (typeof data === 'string') onMessage(JSON.parse(data));
      else showPreview(data, onPreview);
    };
    socket.onclose = () => {
      onLost();
      setTimeout(connect, 1000);
    };
  };
  connect();
}

/** Frames: 1 is a picture; 4 is a picture with JSON before it. */
function showPreview(data, onPreview) {
  const view = new DataView(data);
  if (data.byteLength < 8) return;
  const kind = view.getUint32(0);
  if (kind === 1) {
    onPreview(new Blob([data.slice(8)], { type: view.getUint32(4) === 2 ? 'image/png' : 'image/jpeg' }));
  } else if (kind === 4) {
    const length = view.getUint32(4);
    const about = JSON.parse(new TextDecoder().decode(data.slice(8, 8 + length)));
    onPreview(new Blob([data.slice(8 + length)], { type: about.image_type ?? 'image/jpeg' }));
  }
}
