// The small page: a form that becomes a graph, and what comes of it.

import { SYSTEMS, choose } from './graphs.js';
import * as server from './server.js';

const HISTORY_COUNT = 24;
const FORM_KEY = 'vitascope.form';
const $ = (id) => document.getElementById(id);

/** Names of files by loader, as `UNETLoader.unet_name`. */
const lists = new Map();
/** The graphs of the jobs of this tab, by id. */
const graphs = new Map();
/** The job that this page shows: its id and graph. */
let job = null;
/** The uploaded image: the file that was chosen, and the name that the server gave it. */
let uploaded = { file: null, name: '' };
let previewAddress = '';

const system = () => SYSTEMS.find((entry) => entry.id === $('system').value);

async function start() {
  for (const { id, label } of SYSTEMS) $('system').append(new Option(label, id));
  $('system').addEventListener('change', showSystem);
  $('form').addEventListener('submit', onSubmit);
  $('image').addEventListener('change', showImage);
  $('interrupt').addEventListener('click', onInterrupt);
  $('seed').value = newSeed();
  $('editor-hint').hidden = location.pathname.endsWith('/vitascope');
  restore();
  await loadLists();
  showSystem();
  server.listen({ onMessage, onPreview, onOpen, onLost: () => say('The connection is lost; trying again …') });
  await Promise.all([showHistory(), server.hasLogin().then((has) => { $('log-out').hidden = !has; })]);
}

async function loadLists() {
  const wanted = new Set(SYSTEMS.flatMap(({ files }) => Object.values(files).map(({ node, input }) => `${node}.${input}`)));
  await Promise.all([...wanted].map(async (key) => {
    const [node, input] = key.split('.');
    try {
      const [type, options] = (await server.nodeInfo(node)).input.required[input];
      lists.set(key, Array.isArray(type) ? type : options.options);
    } catch {
      lists.set(key, []);
    }
  }));
}

/** Fills the form with what the chosen workflow starts with. */
function showSystem() {
  const { about, defaults, files, image, id } = system();
  $('about').textContent = about;
  $('image-field').hidden = image === 'none';
  for (const key of ['width', 'height', 'frames', 'fps', 'steps', 'cfg']) $(key).value = defaults[key];
  const step = id === 'wan22-ti2v-5b' ? 32 : 16;
  $('width').step = $('height').step = $('width').min = $('height').min = step;
  if (!$('negative').value) $('negative').value = defaults.negative;
  $('files').replaceChildren(...Object.entries(files).map(([key, file]) => {
    const names = lists.get(`${file.node}.${file.input}`) ?? [];
    const select = document.createElement('select');
    select.name = `file-${key}`;
    select.append(...names.map((name) => new Option(name, name)));
    select.value = choose(names, file.wanted);
    const label = document.createElement('label');
    label.append(file.label, select);
    return label;
  }));
}

function showImage() {
  const [file] = $('image').files;
  $('image-preview').hidden = !file;
  if (file) $('image-preview').src = URL.createObjectURL(file);
}

async function onSubmit(event) {
  event.preventDefault();
  fault('');
  $('queue').disabled = true;
  try {
    const form = await readForm();
    const graph = system().graph(form);
    const { prompt_id: id } = await server.submit(graph);
    remember();
    graphs.set(id, graph);
    if (!job) {
      job = { id, graph };
      showRun('Waiting for its turn', 0);
    }
    if ($('random').checked) $('seed').value = newSeed();
  } catch (error) {
    fault(error.message);
  } finally {
    $('queue').disabled = false;
  }
}

async function readForm() {
  const { image, files } = system();
  const form = { prompt: $('prompt').value, negative: $('negative').value, files: {}, image: '' };
  for (const key of ['width', 'height', 'frames', 'fps', 'steps', 'cfg', 'seed']) form[key] = Number($(key).value);
  for (const key of Object.keys(files)) {
    form.files[key] = $('form').elements[`file-${key}`].value;
    if (!form.files[key]) throw new Error(`No file is there for “${files[key].label}”. Put one into the models directory.`);
  }
  const [file] = $('image').files;
  if (image === 'required' && !file) throw new Error('This workflow needs a start image.');
  if (image !== 'none' && file) {
    if (uploaded.file !== file) uploaded = { file, name: await server.upload(file) };
    form.image = uploaded.name;
  }
  return form;
}

async function onInterrupt() {
  if (!job) return;
  try {
    await server.withdraw(job.id);
    await server.interrupt(job.id);
    await findJob();
  } catch (error) {
    fault(error.message);
  }
}

/** After connecting, also again: the job may have begun, or ended, meanwhile. */
async function onOpen() {
  say('Connected');
  await findJob();
}

async function findJob() {
  const { queue_running: running, queue_pending: pending } = await server.queue();
  const mine = [...running, ...pending].filter(([, , , extra]) => extra?.client_id === server.clientId);
  const [next] = mine;
  if (next) {
    job = { id: next[1], graph: next[2] };
    showRun(running.includes(next) ? 'Running' : 'Waiting for its turn');
  } else if (job) {
    const ended = job;
    job = null;
    $('run').hidden = true;
    await showResult(ended.id);
  }
}

function onMessage({ type, data }) {
  if (type === 'status') {
    const count = data.status.exec_info.queue_remaining;
    say(count ? `${count} in the queue` : 'Ready');
  } else if (type === 'execution_start') {
    if (job?.id !== data.prompt_id) job = { id: data.prompt_id, graph: graphs.get(data.prompt_id) ?? {} };
    showRun('Starting', 0);
  } else if (type === 'progress' && data.prompt_id === job?.id) {
    showRun(`${nodeName(data.node)}: ${data.value} of ${data.max}`, data.value / data.max);
  } else if (type === 'executing' && data.node && data.prompt_id === job?.id) {
    showRun(nodeName(data.node), null);
  } else if (type === 'execution_error') {
    fault(`${data.node_type}: ${data.exception_message}`);
    findJob();
  } else if (type === 'execution_interrupted') {
    fault('Interrupted.');
    findJob();
  } else if (type === 'executing' && !data.node) {
    findJob();
  }
}

const NODE_NAMES = {
  UNETLoader: 'Opening the model', CLIPLoader: 'Opening the text encoder', VAELoader: 'Opening the autoencoder',
  CLIPTextEncode: 'Reading the prompt', KSampler: 'Sampling', KSamplerAdvanced: 'Sampling', VAEDecode: 'Decoding frames',
  SaveVideo: 'Writing the video', CLIPVisionEncode: 'Looking at the image',
};

function nodeName(id) {
  const kind = job?.graph[id]?.class_type;
  return NODE_NAMES[kind] ?? kind ?? 'Running';
}

function onPreview(blob) {
  if (!job) return;
  URL.revokeObjectURL(previewAddress);
  previewAddress = URL.createObjectURL(blob);
  $('preview').src = previewAddress;
  $('preview').hidden = false;
  $('video').hidden = $('empty').hidden = true;
}

/** `share` is 0 to 1, null where it is not known, undefined to leave it as it is. */
function showRun(text, share) {
  $('run').hidden = false;
  $('step').textContent = text;
  if (share === null) $('progress').removeAttribute('value');
  else if (share !== undefined) $('progress').value = share;
}

async function showResult(id) {
  const entry = await server.jobResult(id);
  const [file] = server.resultFiles(entry?.outputs);
  if (file) showFile(file);
  else if (previewAddress) $('preview').hidden = true;
  await showHistory();
}

function showFile(file) {
  const address = server.fileAddress(file);
  $('preview').hidden = file.isVideo;
  $('video').hidden = !file.isVideo;
  $('empty').hidden = true;
  $(file.isVideo ? 'video' : 'preview').src = address;
  if (file.isVideo) $('video').play().catch(() => {});
  $('download').hidden = false;
  $('download').href = address;
  $('download').download = file.filename;
}

async function showHistory() {
  const entries = Object.values(await server.history(HISTORY_COUNT)).reverse();
  const items = entries.flatMap((entry) => server.resultFiles(entry.outputs).map((file) => historyItem(entry, file)));
  $('history').replaceChildren(...items);
}

function historyItem({ prompt: [, , graph] }, file) {
  const picture = document.createElement(file.isVideo ? 'video' : 'img');
  picture.src = server.fileAddress(file);
  if (file.isVideo) Object.assign(picture, { muted: true, preload: 'metadata' });
  const text = document.createElement('span');
  text.textContent = Object.values(graph).find((entry) => entry.class_type === 'CLIPTextEncode')?.inputs.text ?? file.filename;
  text.title = file.filename;
  const button = document.createElement('button');
  button.type = 'button';
  button.append(picture, text);
  button.addEventListener('click', () => showFile(file));
  const item = document.createElement('li');
  item.append(button);
  return item;
}

function remember() {
  const form = { system: $('system').value, prompt: $('prompt').value, negative: $('negative').value };
  localStorage.setItem(FORM_KEY, JSON.stringify(form));
}

function restore() {
  const form = JSON.parse(localStorage.getItem(FORM_KEY) ?? '{}');
  for (const key of ['prompt', 'negative']) $(key).value = form[key] ?? '';
  if (SYSTEMS.some((entry) => entry.id === form.system)) $('system').value = form.system;
}

const newSeed = () => Math.floor(Math.random() * 2 ** 48);

function say(text) {
  $('status').textContent = text;
}

function fault(text) {
  $('fault').textContent = text;
  $('fault').hidden = !text;
}

start().catch((error) => fault(error.message));
