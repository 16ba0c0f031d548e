//! The estimate of a pass's memory, against the tensors' own count. Alone in its process, which has one count.

mod common;

use std::ops::ControlFlow;

use common::checkpoint;
use vita_models::wan::{Config, HIDDEN_BYTES_MAX, LayoutOptions, Prompt, Wan, Workload};
use vita_tensor::{Tensor, memory};
use vita_weights::Role;

#[test]
fn peak_memory_is_as_estimated() {
    // Large enough that what is too small for the pool to count does not matter.
    for (ffn_dim, timesteps) in [(1024, 1), (3000, 6)] {
        let config = Config { dim: 512, ffn_dim, layers: 1, text_dim: 64, freq_dim: 32, ..Config::t2v_1_3b() };
        let wan = zeros(&config);
        let latent = [6, 32, 36];
        let prompt = Prompt::new(&Tensor::zeros([100, 64]), 412).unwrap();
        let x = Tensor::zeros([16, 6, 32, 36]);
        let before = memory::stats().live_bytes;
        let context = wan.context(&prompt, None).unwrap();
        let timesteps: Vec<f32> = (0..timesteps).map(|frame| frame as f32).collect();
        let go_on = &mut |_, _| ControlFlow::Continue(());
        {
            let layout = wan.layout(latent, LayoutOptions { hidden_bytes_max: HIDDEN_BYTES_MAX }).unwrap();
            wan.forward(&x, &timesteps, &context, &layout, go_on).unwrap();
        }
        let context_bytes = memory::stats().live_bytes - before;
        assert_eq!(context_bytes, config.context_bytes(prompt.key_count(), 0));

        // All tokens at once; two frames; a quarter of a frame.
        for hidden_bytes_max in [HIDDEN_BYTES_MAX, 600 * ffn_dim * 4, 72 * ffn_dim * 4] {
            let options = LayoutOptions { hidden_bytes_max };
            let layout = wan.layout(latent, options).unwrap();
            let workload = Workload { latent, text_keys: prompt.key_count(), image_keys: 0 };
            let want = config.activation_bytes(&workload, options);
            memory::release_idle();
            let before = memory::stats().live_bytes;
            memory::reset_peak();
            wan.forward(&x, &timesteps, &context, &layout, go_on).unwrap();
            let got = memory::stats().peak_bytes - before + layout.size_bytes();
            let ratio = got as f64 / want as f64;
            println!("ffn {ffn_dim}, hidden {hidden_bytes_max}: {got} of {want}, {ratio:.3}");
            assert!((0.85..=1.15).contains(&ratio), "ffn {ffn_dim}, hidden {hidden_bytes_max}: {got} of {want}");
        }
    }
}

/// A model of zeros: memory does not depend on values.
fn zeros(config: &Config) -> Wan {
    let &Config { dim, ffn_dim, layers, in_dim, out_dim, text_dim, freq_dim, .. } = config;
    let mut tensors = Vec::new();
    let mut add = |name: String, dims: &[usize]| tensors.push((name, Tensor::zeros(dims)));
    let mut linear = |name: &str, out: usize, from: usize| {
        add(format!("{name}.weight"), &[out, from]);
        add(format!("{name}.bias"), &[out]);
    };
    linear("text_embedding.0", dim, text_dim);
    linear("text_embedding.2", dim, dim);
    linear("time_embedding.0", dim, freq_dim);
    linear("time_embedding.2", dim, dim);
    linear("time_projection.1", 6 * dim, dim);
    linear("head.head", 4 * out_dim, dim);
    for block in 0..layers {
        for layer in ["q", "k", "v", "o"] {
            linear(&format!("blocks.{block}.self_attn.{layer}"), dim, dim);
            linear(&format!("blocks.{block}.cross_attn.{layer}"), dim, dim);
        }
        linear(&format!("blocks.{block}.ffn.0"), ffn_dim, dim);
        linear(&format!("blocks.{block}.ffn.2"), dim, ffn_dim);
    }
    for block in 0..layers {
        add(format!("blocks.{block}.modulation"), &[1, 6, dim]);
        let norms = ["self_attn.norm_q", "self_attn.norm_k", "cross_attn.norm_q", "cross_attn.norm_k", "norm3"];
        for norm in norms {
            add(format!("blocks.{block}.{norm}.weight"), &[dim]);
        }
        add(format!("blocks.{block}.norm3.bias"), &[dim]);
    }
    add("head.modulation".into(), &[1, 2, dim]);
    add("patch_embedding.weight".into(), &[dim, in_dim, 1, 2, 2]);
    add("patch_embedding.bias".into(), &[dim]);
    let weights = checkpoint("zeros", &tensors).weights(Role::DiffusionModel).unwrap();
    Wan::load(&weights, &mut |_, _| ControlFlow::Continue(())).unwrap()
}
