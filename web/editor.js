// What the official editor does not do by itself: show on its node what VHS_VideoCombine has made.

import { api } from '../scripts/api.js';
import { app } from '../scripts/app.js';

app.registerExtension({
  name: 'vitascope.videos',
  beforeRegisterNodeDef(nodeType, { name }) {
    if (name !== 'VHS_VideoCombine') return;
    const { onExecuted } = nodeType.prototype;
    nodeType.prototype.onExecuted = function (output) {
      onExecuted?.call(this, output);
      const file = output?.gifs?.[0];
      if (file) show(this, file);
    };
  },
});

/** Puts a file under a node's widgets, in the place of the one before. */
function show(node, file) {
  const query = new URLSearchParams({ filename: file.filename, subfolder: file.subfolder, type: file.type });
  const element = file.format.startsWith('image/') ? new Image() : video();
  // The name alone may be that of an older file that the browser still has.
  element.src = api.apiURL(`/view?${query}&rand=${Math.random()}`);
  Object.assign(element.style, { width: '100%', height: '100%', objectFit: 'contain' });

  const holder = node.vitascopeVideo ?? addHolder(node);
  holder.replaceChildren(element);
}

function video() {
  const element = document.createElement('video');
  Object.assign(element, { controls: true, loop: true, muted: true, autoplay: true, playsInline: true });
  return element;
}

/** A widget that belongs to the page alone: it is neither saved nor sent. */
function addHolder(node) {
  const holder = document.createElement('div');
  const widget = node.addDOMWidget('result', 'vitascope_result', holder, {
    serialize: false,
    hideOnZoom: false,
    getMinHeight: () => 200,
  });
  widget.serialize = false;
  node.vitascopeVideo = holder;
  return holder;
}
