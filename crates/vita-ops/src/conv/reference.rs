//! Convolution as its definition reads, in `f64`.

use vita_tensor::Tensor;

use super::ConvOptions;

pub fn conv(x: &Tensor, history: Option<&Tensor>, weight: &Tensor, bias: &Tensor, options: ConvOptions) -> Tensor {
    let ([frames, height, width, _], [outs, ins, kt, kh, kw]) = (x.sizes(), weight.sizes());
    let past = history.map_or(0, |history| history.dims()[0]);
    let blank = if options.causal { kt - 1 - past } else { 0 };
    let (height, width) = (height * options.enlarge, width * options.enlarge);
    let [st, sh, sw] = options.stride;
    let out_frames = (blank + past + frames - kt) / st + 1;
    let out_height = (height + options.pad_height.iter().sum::<usize>() - kh) / sh + 1;
    let out_width = (width + options.pad_width.iter().sum::<usize>() - kw) / sw + 1;
    // The padded, enlarged input.
    let at = |t: usize, h: usize, w: usize, channel: usize| -> f64 {
        let (Some(h), Some(w)) = (h.checked_sub(options.pad_height[0]), w.checked_sub(options.pad_width[0])) else {
            return 0.0;
        };
        if t < blank || h >= height || w >= width {
            return 0.0;
        }
        let (h, w) = (h / options.enlarge, w / options.enlarge);
        match (t - blank).checked_sub(past) {
            Some(t) => x.at(&[t, h, w, channel]),
            None => history.expect("there are frames before").at(&[t - blank, h, w, channel]),
        }
    };
    let mut y = Vec::new();
    for t in 0..out_frames {
        for h in 0..out_height {
            for w in 0..out_width {
                for o in 0..outs {
                    let mut sum = bias.at(&[o]);
                    for (a, b, c) in (0..kt * kh * kw).map(|tap| (tap / (kh * kw), tap / kw % kh, tap % kw)) {
                        for i in 0..ins {
                            sum += weight.at(&[o, i, a, b, c]) * at(t * st + a, h * sh + b, w * sw + c, i);
                        }
                    }
                    y.push(sum as f32);
                }
            }
        }
    }
    Tensor::from_vec(y, [out_frames, out_height, out_width, outs])
}
