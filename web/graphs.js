// The ready-made workflows of the small page, as graphs of ComfyUI's nodes.

const NEGATIVE =
  'overexposed, static, blurry details, subtitles, still picture, worst quality, low quality, JPEG artefacts, ugly, ' +
  'deformed, extra fingers, badly drawn hands, badly drawn face, fused fingers, cluttered background, walking backwards';

const UNET = { node: 'UNETLoader', input: 'unet_name' };
const CLIP = { node: 'CLIPLoader', input: 'clip_name', label: 'Text encoder', wanted: [/umt5.*fp8/i, /umt5/i, /t5/i] };
const VISION = { node: 'CLIPVisionLoader', input: 'clip_name', label: 'Vision encoder', wanted: [/clip_vision_h/i, /vision|visual/i] };
const VAE21 = { node: 'VAELoader', input: 'vae_name', label: 'Autoencoder', wanted: [/wan_?2[._]1.*vae/i, /wan.*vae/i] };
const VAE22 = { ...VAE21, wanted: [/wan_?2[._]2.*vae/i] };

/**
 * A workflow: what the form starts with, which files it needs, and its graph. `image` is 'none', 'optional' or
 * 'required'. Files are chosen by the first pattern that fits one; without any the first file is taken.
 */
export const SYSTEMS = [
  {
    id: 'wan21-t2v',
    label: 'Wan 2.1: text to video',
    about: 'One transformer of 1.3 or 14 billion parameters.',
    image: 'none',
    defaults: { width: 832, height: 480, frames: 81, fps: 16, steps: 30, cfg: 6, negative: NEGATIVE },
    files: {
      unet: { ...UNET, label: 'Model', wanted: [/wan2[._]1.*t2v.*1[._]3/i, /wan2[._]1.*t2v/i, /t2v/i] },
      clip: CLIP,
      vae: VAE21,
    },
    graph: (form) => ({ ...textToVideo(form, 8), ...oneSampler(form, 'uni_pc') }),
  },
  {
    id: 'wan21-i2v',
    label: 'Wan 2.1: image to video',
    about: 'The first frame is the image; a vision encoder describes it to the model.',
    image: 'required',
    defaults: { width: 832, height: 480, frames: 81, fps: 16, steps: 20, cfg: 6, negative: NEGATIVE },
    files: {
      unet: { ...UNET, label: 'Model', wanted: [/wan2[._]1.*i2v.*480/i, /wan2[._]1.*i2v/i, /i2v/i] },
      clip: CLIP,
      vae: VAE21,
      vision: VISION,
    },
    graph: (form) => ({ ...imageToVideo(form, true), ...oneSampler(form, 'uni_pc', fromImage) }),
  },
  {
    id: 'wan22-ti2v-5b',
    label: 'Wan 2.2 5B: text or image to video',
    about: 'With an image it is the first frame; without one the text alone counts.',
    image: 'optional',
    defaults: { width: 1280, height: 704, frames: 121, fps: 24, steps: 20, cfg: 5, negative: NEGATIVE },
    files: {
      unet: { ...UNET, label: 'Model', wanted: [/ti2v.*5b/i, /5b/i, /ti2v/i] },
      clip: CLIP,
      vae: VAE22,
    },
    graph: (form) => ({ ...textAndImage(form), ...oneSampler(form, 'uni_pc') }),
  },
  {
    id: 'wan22-t2v-a14b',
    label: 'Wan 2.2 A14B: text to video',
    about: 'Two experts of 14 billion parameters: one for the noisy half of the steps, one for the rest.',
    image: 'none',
    defaults: { width: 640, height: 640, frames: 81, fps: 16, steps: 20, cfg: 3.5, negative: NEGATIVE },
    files: {
      unet: { ...UNET, label: 'High-noise model', wanted: [/t2v.*high|high.*t2v/i, /high/i] },
      low: { ...UNET, label: 'Low-noise model', wanted: [/t2v.*low|low.*t2v/i, /low/i] },
      clip: CLIP,
      vae: VAE21,
    },
    graph: (form) => ({ ...textToVideo(form, 8), ...twoSamplers(form) }),
  },
  {
    id: 'wan22-i2v-a14b',
    label: 'Wan 2.2 A14B: image to video',
    about: 'Two experts of 14 billion parameters; the first frame is the image.',
    image: 'required',
    defaults: { width: 640, height: 640, frames: 81, fps: 16, steps: 20, cfg: 3.5, negative: NEGATIVE },
    files: {
      unet: { ...UNET, label: 'High-noise model', wanted: [/i2v.*high|high.*i2v/i, /high/i] },
      low: { ...UNET, label: 'Low-noise model', wanted: [/i2v.*low|low.*i2v/i, /low/i] },
      clip: CLIP,
      vae: VAE21,
    },
    graph: (form) => ({ ...imageToVideo(form, false), ...twoSamplers(form, fromImage) }),
  },
];

/** Where the sampler's inputs come from: the prompts themselves, or what the image has been added to. */
const fromText = { positive: ['positive', 0], negative: ['negative', 0], latent: ['latent', 0] };
const fromImage = { positive: ['latent', 0], negative: ['latent', 1], latent: ['latent', 2] };

const node = (class_type, inputs) => ({ class_type, inputs });
const size = ({ width, height, frames }) => ({ width, height, length: frames, batch_size: 1 });

function loaders({ files, prompt, negative }, shift) {
  return {
    clip: node('CLIPLoader', { clip_name: files.clip, type: 'wan', device: 'default' }),
    vae: node('VAELoader', { vae_name: files.vae }),
    unet: node('UNETLoader', { unet_name: files.unet, weight_dtype: 'default' }),
    model: node('ModelSamplingSD3', { model: ['unet', 0], shift }),
    positive: node('CLIPTextEncode', { clip: ['clip', 0], text: prompt }),
    negative: node('CLIPTextEncode', { clip: ['clip', 0], text: negative }),
  };
}

function textToVideo(form, shift) {
  return { ...loaders(form, shift), latent: node('EmptyHunyuanLatentVideo', size(form)) };
}

function imageToVideo(form, hasVision) {
  const inputs = { positive: ['positive', 0], negative: ['negative', 0], vae: ['vae', 0], start_image: ['image', 0], ...size(form) };
  const graph = { ...loaders(form, 8), image: node('LoadImage', { image: form.image }) };
  if (hasVision) {
    graph.vision = node('CLIPVisionLoader', { clip_name: form.files.vision });
    graph.seen = node('CLIPVisionEncode', { clip_vision: ['vision', 0], image: ['image', 0], crop: 'none' });
    inputs.clip_vision_output = ['seen', 0];
  }
  graph.latent = node('WanImageToVideo', inputs);
  return graph;
}

function textAndImage(form) {
  const inputs = { vae: ['vae', 0], ...size(form) };
  const graph = loaders(form, 8);
  if (form.image) {
    graph.image = node('LoadImage', { image: form.image });
    inputs.start_image = ['image', 0];
  }
  graph.latent = node('Wan22ImageToVideoLatent', inputs);
  return graph;
}

function oneSampler(form, sampler_name, from = fromText) {
  const { seed, steps, cfg } = form;
  const inputs = { model: ['model', 0], positive: from.positive, negative: from.negative, latent_image: from.latent };
  const sampler = node('KSampler', { ...inputs, seed, steps, cfg, sampler_name, scheduler: 'simple', denoise: 1 });
  return { sampler, ...video(form) };
}

function twoSamplers(form, from = fromText) {
  const { seed, steps, cfg, files } = form;
  const half = Math.ceil(steps / 2);
  const common = { positive: from.positive, negative: from.negative, noise_seed: seed, steps, cfg, sampler_name: 'euler', scheduler: 'simple' };
  return {
    low: node('UNETLoader', { unet_name: files.low, weight_dtype: 'default' }),
    low_model: node('ModelSamplingSD3', { model: ['low', 0], shift: 8 }),
    noisy: node('KSamplerAdvanced', {
      ...common, model: ['model', 0], latent_image: from.latent,
      add_noise: 'enable', start_at_step: 0, end_at_step: half, return_with_leftover_noise: 'enable',
    }),
    sampler: node('KSamplerAdvanced', {
      ...common, model: ['low_model', 0], latent_image: ['noisy', 0],
      add_noise: 'disable', start_at_step: half, end_at_step: 10000, return_with_leftover_noise: 'disable',
    }),
    ...video(form),
  };
}

function video({ fps }) {
  return {
    frames: node('VAEDecode', { samples: ['sampler', 0], vae: ['vae', 0] }),
    video: node('CreateVideo', { images: ['frames', 0], fps }),
    save: node('SaveVideo', { video: ['video', 0], filename_prefix: 'video/vitascope', format: 'auto', codec: 'auto' }),
  };
}

/** The file of a list that a workflow most likely means. */
export function choose(names, wanted) {
  for (const pattern of wanted) {
    const found = names.find((name) => pattern.test(name));
    if (found) return found;
  }
  return names[0] ?? '';
}
