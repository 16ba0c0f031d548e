//! LoRAs upon the small models: put on, taken off, for one expert, several at once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use vita_pipeline::{Models, Preset, Residency, Sampling, Source, Switch, Transformer, VideoRequest, make_video};
use vita_tensor::Tensor;
use vita_weights::write_safetensors;

use crate::support::{Heard, make, models, nano, psnr, request, with_image, within};

/// A LoRA upon the first block's queries and the last layer, and a key that matches nothing.
fn lora(folder: &Path, model: &Transformer) -> PathBuf {
    let config = model.config();
    let noise = |rows: usize, columns: usize| {
        let value = |i: usize| ((i * 7919 + i * i % 8191) as f32 * 0.618).sin() * 0.3;
        Tensor::from_vec((0..rows * columns).map(value).collect(), [rows, columns])
    };
    let (up, down, out) = (noise(config.dim, 2), noise(2, config.dim), noise(4 * config.out_dim, 2));
    let path = folder.join("style.safetensors");
    let tensors = [
        ("lora_unet_blocks_0_self_attn_q.lora_up.weight", &up),
        ("lora_unet_blocks_0_self_attn_q.lora_down.weight", &down),
        ("diffusion_model.head.head.lora_B.weight", &out),
        ("diffusion_model.head.head.lora_A.weight", &down),
        ("lora_te_text_model.lora_up.weight", &up),
    ];
    write_safetensors(&path, &tensors, &BTreeMap::new()).unwrap();
    path
}

/// The frames, one after the other.
fn run(models: &Models, source: Source, residency: &Residency, heard: &mut Heard) -> Vec<u8> {
    let mut request = request(source);
    request.switch = models.dit_low.is_some().then_some(Switch::Step(2));
    let mut bytes = Vec::new();
    within(residency, heard, |environment| {
        make_video(models, &request, environment, &mut |frame| {
            bytes.extend_from_slice(frame.rgb);
            Ok(())
        })
    })
    .unwrap();
    bytes
}

#[test]
fn loras_are_put_on_and_taken_off_without_loading_again() {
    let folder = tempfile::tempdir().unwrap();
    let plain = models("t2v");
    let path = lora(folder.path(), &plain.dit);
    let with = |strengths: &[f64]| {
        let dit = strengths.iter().fold(plain.dit.clone(), |dit, &strength| dit.with_lora(&path, strength).unwrap());
        Models { dit, ..plain.clone() }
    };
    let (residency, mut heard) = (Residency::many(None), Heard::default());
    let mut of = |models: &Models| run(models, Source::Text, &residency, &mut heard);
    let before = of(&plain);
    let styled = of(&with(&[1.0]));
    assert!(psnr(&styled, &before) < 40.0, "{} dB", psnr(&styled, &before));
    assert!(of(&with(&[0.0])) == before);
    let in_parts = psnr(&of(&with(&[0.75, 0.25])), &styled);
    assert!(in_parts > 50.0, "{in_parts} dB");
    assert!(of(&plain) == before, "nothing of a LoRA is left");
    // Text encoder, transformer and autoencoder.
    assert_eq!(heard.loads(), 3);
    let warning = format!(
        "1 of 5 keys of `{}` matches nothing in the model, such as `lora_te_text_model.lora_up.weight`",
        path.display()
    );
    assert_eq!(heard.warnings, vec![warning; 3]);
}

#[test]
fn an_expert_has_loras_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let plain = models("a14b");
    let path = lora(folder.path(), &plain.dit);
    let (residency, mut heard) = (Residency::many(None), Heard::default());
    let mut of = |models: &Models| run(models, with_image(), &residency, &mut heard);
    let (low, switch) = plain.dit_low.clone().unwrap();
    let before = of(&plain);
    let high_only = of(&Models { dit: plain.dit.with_lora(&path, 1.0).unwrap(), ..plain.clone() });
    let low_only = of(&Models { dit_low: Some((low.with_lora(&path, 1.0).unwrap(), switch)), ..plain.clone() });
    assert!(high_only != before && low_only != before && high_only != low_only);
}

/// The small pair under the names of the published one, and LoRAs under theirs.
#[test]
fn a_preset_of_four_steps_puts_its_loras_on() {
    let preset = Preset::named("wan2.2-i2v-a14b-4step").unwrap();
    let files = preset.files.as_ref().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let copy = |from: &str, to: &str| {
        let to = folder.path().join(to);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(nano(from), to).unwrap();
    };
    copy("i2v-high", &format!("diffusion_models/{}", files.dit[0]));
    copy("i2v-low", &format!("diffusion_models/{}", files.dit_low[0]));
    copy("umt5", &format!("text_encoders/{}", files.text_encoder[0]));
    copy("vae", &format!("vae/{}", files.vae[0]));
    let error = preset.find_loras(folder.path()).unwrap_err().to_string();
    assert!(error.starts_with("`wan2.2-i2v-a14b-4step` needs its LoRA"), "{error}");
    let loras = folder.path().join("loras");
    std::fs::create_dir_all(&loras).unwrap();
    for name in [files.lora[0], files.lora_low[0]] {
        std::fs::rename(lora(folder.path(), &models("a14b").dit), loras.join(name)).unwrap();
    }

    let plain = Models::open(&preset.find(folder.path()).unwrap().unwrap()).unwrap();
    let found = preset.find_loras(folder.path()).unwrap();
    let with = found.upon(plain.clone()).unwrap();
    let low = |models: &Models| models.dit_low.as_ref().unwrap().0.patches().loras.len();
    assert_eq!((with.dit.patches().loras.len(), low(&with)), (1, 1));

    let own = preset.defaults;
    assert_eq!((own.steps, own.cfg, own.shift), (4, 1.0, 5.0));
    let sampling = Sampling {
        steps: own.steps,
        cfg: own.cfg,
        shift: own.shift,
        sampler: own.sampler.into(),
        scheduler: own.scheduler.into(),
        ..request(Source::Text).sampling
    };
    let by_level = VideoRequest { sampling, ..request(with_image()) };
    let by_step = VideoRequest { switch: Some(Switch::Step(2)), ..by_level.clone() };
    let (frames, _) = make(&with, &by_level).unwrap();
    assert!(frames == make(&with, &by_step).unwrap().0, "two steps of each expert");
    assert!(frames != make(&plain, &by_level).unwrap().0);
}

#[test]
fn a_lora_of_another_size_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (t2v, ti2v) = (models("t2v"), models("ti2v"));
    let path = lora(folder.path(), &t2v.dit);
    let error = ti2v.dit.with_lora(&path, 1.0).err().unwrap().to_string();
    assert!(
        error.starts_with(&format!("`{}` is a LoRA for another size than a Wan-shaped", path.display())),
        "{error}"
    );
}
