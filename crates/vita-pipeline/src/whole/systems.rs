//! The systems that have a name, one after the other: their files, and the settings they are made for.
//!
//! Names of files: ComfyUI's repackaged ones first, then kijai's, then city96's and QuantStack's GGUF.

use super::presets::{Defaults, Files, Preset, Takes};

/// Every system, the small ones first.
pub const PRESETS: &[Preset] = &[
    Preset { name: "nano-t2v", title: "small, text to video", takes: TEXT, files: None, defaults: NANO },
    Preset { name: "nano-i2v", title: "small, image to video", takes: IMAGE, files: None, defaults: NANO_I2V },
    Preset {
        name: "nano-i2v-a14b",
        title: "small, image to video, two experts",
        takes: BOTH_ENDS,
        files: None,
        defaults: Defaults { shift: 5.0, ..NANO_I2V },
    },
    Preset { name: "nano-ti2v", title: "small, text or image to video", takes: EITHER, files: None, defaults: NANO },
    Preset {
        name: "wan2.1-t2v-1.3b",
        title: "Wan2.1 T2V 1.3B",
        takes: TEXT,
        files: Some(Files {
            dit: &[
                "wan2.1_t2v_1.3B_bf16.safetensors",
                "wan2.1_t2v_1.3B_fp16.safetensors",
                "Wan2_1-T2V-1_3B_bf16.safetensors",
                "Wan2_1-T2V-1_3B_fp32.safetensors",
                "Wan2_1-T2V-1_3B_fp8_e4m3fn.safetensors",
            ],
            ..WAN_21_FILES
        }),
        // ComfyUI's template for this model, with the official guidance.
        defaults: Defaults { steps: 30, cfg: 5.0, shift: 8.0, sampler: "uni_pc", ..WAN_21 },
    },
    Preset {
        name: "wan2.1-t2v-14b",
        title: "Wan2.1 T2V 14B",
        takes: TEXT,
        files: Some(T2V_14B_FILES),
        defaults: Defaults { steps: 15, ..WAN_21 },
    },
    Preset {
        name: "wan2.1-t2v-14b-4step",
        title: "Wan2.1 T2V 14B, 4 steps",
        takes: TEXT,
        files: Some(Files {
            lora: &[
                "lightx2v_T2V_14B_cfg_step_distill_v2_lora_rank64_bf16.safetensors",
                "Wan21_T2V_14B_lightx2v_cfg_step_distill_lora_rank32.safetensors",
            ],
            ..T2V_14B_FILES
        }),
        defaults: WAN_21_4_STEPS,
    },
    Preset {
        name: "wan2.1-i2v-14b-480p",
        title: "Wan2.1 I2V 14B 480P",
        takes: IMAGE,
        files: Some(I2V_14B_480P_FILES),
        defaults: Defaults { width: 512, height: 512, steps: 10, ..WAN_21 },
    },
    Preset {
        name: "wan2.1-i2v-14b-480p-4step",
        title: "Wan2.1 I2V 14B 480P, 4 steps",
        takes: IMAGE,
        files: Some(Files {
            lora: &[
                "lightx2v_I2V_14B_480p_cfg_step_distill_rank64_bf16.safetensors",
                "Wan21_I2V_14B_lightx2v_cfg_step_distill_lora_rank64.safetensors",
            ],
            ..I2V_14B_480P_FILES
        }),
        defaults: Defaults { width: 512, height: 512, ..WAN_21_4_STEPS },
    },
    Preset {
        name: "wan2.1-i2v-14b-720p",
        title: "Wan2.1 I2V 14B 720P",
        takes: IMAGE,
        files: Some(Files {
            dit: &[
                "wan2.1_i2v_720p_14B_fp8_scaled.safetensors",
                "wan2.1_i2v_720p_14B_fp8_e4m3fn.safetensors",
                "wan2.1_i2v_720p_14B_bf16.safetensors",
                "wan2.1_i2v_720p_14B_fp16.safetensors",
                "Wan2_1-I2V-14B-720P_fp8_e4m3fn.safetensors",
                "Wan2_1-I2V-14B-720P_fp8_e5m2.safetensors",
                "wan2.1-i2v-14b-720p-Q8_0.gguf",
                "wan2.1-i2v-14b-720p-Q6_K.gguf",
                "wan2.1-i2v-14b-720p-Q5_K_M.gguf",
                "wan2.1-i2v-14b-720p-Q4_K_M.gguf",
            ],
            clip_vision: CLIP_VISION_FILES,
            ..WAN_21_FILES
        }),
        defaults: Defaults { width: 1280, height: 720, steps: 20, ..WAN_21 },
    },
    Preset {
        name: "wan2.1-flf2v-14b",
        title: "Wan2.1 FLF2V 14B 720P",
        takes: BOTH_ENDS,
        files: Some(Files {
            dit: &[
                "wan2.1_flf2v_720p_14B_fp8_e4m3fn.safetensors",
                "wan2.1_flf2v_720p_14B_fp16.safetensors",
                "Wan2_1-FLF2V-14B-720P_fp8_e4m3fn.safetensors",
                "Wan2_1-FLF2V-14B-720P_fp16.safetensors",
            ],
            clip_vision: CLIP_VISION_FILES,
            ..WAN_21_FILES
        }),
        // ComfyUI's template for this model.
        defaults: Defaults { width: 1280, height: 720, shift: 8.0, sampler: "uni_pc", ..WAN_21 },
    },
    Preset {
        name: "wan2.2-t2v-a14b",
        title: "Wan2.2 T2V A14B",
        takes: TEXT,
        files: Some(T2V_A14B_FILES),
        defaults: WAN_22_A14B,
    },
    Preset {
        name: "wan2.2-t2v-a14b-4step",
        title: "Wan2.2 T2V A14B, 4 steps",
        takes: TEXT,
        files: Some(Files {
            lora: &["wan2.2_t2v_lightx2v_4steps_lora_v1.1_high_noise.safetensors"],
            lora_low: &["wan2.2_t2v_lightx2v_4steps_lora_v1.1_low_noise.safetensors"],
            ..T2V_A14B_FILES
        }),
        defaults: WAN_22_A14B_4_STEPS,
    },
    Preset {
        name: "wan2.2-i2v-a14b",
        title: "Wan2.2 I2V A14B",
        takes: BOTH_ENDS,
        files: Some(I2V_A14B_FILES),
        defaults: WAN_22_A14B,
    },
    Preset {
        name: "wan2.2-i2v-a14b-4step",
        title: "Wan2.2 I2V A14B, 4 steps",
        takes: BOTH_ENDS,
        files: Some(Files {
            lora: &["wan2.2_i2v_lightx2v_4steps_lora_v1_high_noise.safetensors"],
            lora_low: &["wan2.2_i2v_lightx2v_4steps_lora_v1_low_noise.safetensors"],
            ..I2V_A14B_FILES
        }),
        defaults: WAN_22_A14B_4_STEPS,
    },
    Preset {
        name: "wan2.2-ti2v-5b",
        title: "Wan2.2 TI2V 5B",
        takes: EITHER,
        files: Some(Files {
            dit: &[
                "wan2.2_ti2v_5B_fp16.safetensors",
                "Wan2_2-TI2V-5B_fp8_e4m3fn_scaled_KJ.safetensors",
                "Wan2.2-TI2V-5B-Q8_0.gguf",
                "Wan2.2-TI2V-5B-Q4_K_M.gguf",
            ],
            vae: VAE_22_FILES,
            ..WAN_21_FILES
        }),
        defaults: Defaults { frames: 121, fps: 24.0, cfg: 5.0, sampler: "uni_pc", ..WAN_22_A14B },
    },
];

const TEXT: Takes = Takes { text: true, image: false, last_image: false };
const IMAGE: Takes = Takes { text: false, image: true, last_image: false };
const BOTH_ENDS: Takes = Takes { text: false, image: true, last_image: true };
const EITHER: Takes = Takes { text: true, image: true, last_image: false };

const WAN_21_FILES: Files = Files {
    dit: &[],
    dit_low: &[],
    text_encoder: UMT5_FILES,
    vae: VAE_21_FILES,
    clip_vision: &[],
    lora: &[],
    lora_low: &[],
};

const T2V_14B_FILES: Files = Files {
    dit: &[
        "wan2.1_t2v_14B_fp8_scaled.safetensors",
        "wan2.1_t2v_14B_fp8_e4m3fn.safetensors",
        "wan2.1_t2v_14B_bf16.safetensors",
        "wan2.1_t2v_14B_fp16.safetensors",
        "Wan2_1-T2V-14B_fp8_e4m3fn.safetensors",
        "Wan2_1-T2V-14B_fp8_e5m2.safetensors",
        "Wan2_1-T2V-14B_bf16.safetensors",
        "wan2.1-t2v-14b-Q8_0.gguf",
        "wan2.1-t2v-14b-Q6_K.gguf",
        "wan2.1-t2v-14b-Q5_K_M.gguf",
        "wan2.1-t2v-14b-Q4_K_M.gguf",
    ],
    ..WAN_21_FILES
};

const I2V_14B_480P_FILES: Files = Files {
    dit: &[
        "wan2.1_i2v_480p_14B_fp8_scaled.safetensors",
        "wan2.1_i2v_480p_14B_fp8_e4m3fn.safetensors",
        "wan2.1_i2v_480p_14B_bf16.safetensors",
        "wan2.1_i2v_480p_14B_fp16.safetensors",
        "Wan2_1-I2V-14B-480P_fp8_e4m3fn.safetensors",
        "Wan2_1-I2V-14B-480P_fp8_e5m2.safetensors",
        "wan2.1-i2v-14b-480p-Q8_0.gguf",
        "wan2.1-i2v-14b-480p-Q6_K.gguf",
        "wan2.1-i2v-14b-480p-Q5_K_M.gguf",
        "wan2.1-i2v-14b-480p-Q4_K_M.gguf",
    ],
    clip_vision: CLIP_VISION_FILES,
    ..WAN_21_FILES
};

const T2V_A14B_FILES: Files = Files {
    dit: &[
        "wan2.2_t2v_high_noise_14B_fp8_scaled.safetensors",
        "wan2.2_t2v_high_noise_14B_fp16.safetensors",
        "Wan2_2-T2V-A14B_HIGH_fp8_e4m3fn_scaled_KJ.safetensors",
        "Wan2.2-T2V-A14B-HighNoise-Q8_0.gguf",
        "Wan2.2-T2V-A14B-HighNoise-Q4_K_M.gguf",
    ],
    dit_low: &[
        "wan2.2_t2v_low_noise_14B_fp8_scaled.safetensors",
        "wan2.2_t2v_low_noise_14B_fp16.safetensors",
        "Wan2_2-T2V-A14B-LOW_fp8_e4m3fn_scaled_KJ.safetensors",
        "Wan2.2-T2V-A14B-LowNoise-Q8_0.gguf",
        "Wan2.2-T2V-A14B-LowNoise-Q4_K_M.gguf",
    ],
    ..WAN_21_FILES
};

const I2V_A14B_FILES: Files = Files {
    dit: &[
        "wan2.2_i2v_high_noise_14B_fp8_scaled.safetensors",
        "wan2.2_i2v_high_noise_14B_fp16.safetensors",
        "Wan2_2-I2V-A14B-HIGH_fp8_e4m3fn_scaled_KJ.safetensors",
        "Wan2.2-I2V-A14B-HighNoise-Q8_0.gguf",
        "Wan2.2-I2V-A14B-HighNoise-Q4_K_M.gguf",
    ],
    dit_low: &[
        "wan2.2_i2v_low_noise_14B_fp8_scaled.safetensors",
        "wan2.2_i2v_low_noise_14B_fp16.safetensors",
        "Wan2_2-I2V-A14B-LOW_fp8_e4m3fn_scaled_KJ.safetensors",
        "Wan2.2-I2V-A14B-LowNoise-Q8_0.gguf",
        "Wan2.2-I2V-A14B-LowNoise-Q4_K_M.gguf",
    ],
    ..WAN_21_FILES
};

const UMT5_FILES: &[&str] = &[
    "umt5_xxl_fp8_e4m3fn_scaled.safetensors",
    "umt5_xxl_fp16.safetensors",
    "umt5-xxl-enc-fp8_e4m3fn.safetensors",
    "umt5-xxl-enc-bf16.safetensors",
    "umt5-xxl-encoder-Q8_0.gguf",
    "umt5-xxl-encoder-Q5_K_M.gguf",
];

const VAE_21_FILES: &[&str] =
    &["wan_2.1_vae.safetensors", "Wan2_1_VAE_fp32.safetensors", "Wan2_1_VAE_bf16.safetensors"];

const VAE_22_FILES: &[&str] = &["wan2.2_vae.safetensors", "Wan2_2_VAE_bf16.safetensors"];

const CLIP_VISION_FILES: &[&str] = &[
    "clip_vision_h.safetensors",
    "open-clip-xlm-roberta-large-vit-huge-14_visual_fp16.safetensors",
    "open-clip-xlm-roberta-large-vit-huge-14_visual_fp32.safetensors",
];

/// The small models' own: see `assets/nano/eval.json`.
const NANO: Defaults = Defaults {
    width: 64,
    height: 64,
    frames: 17,
    fps: 16.0,
    steps: 20,
    cfg: 2.5,
    cfg_low: None,
    shift: 3.0,
    sampler: "euler",
    scheduler: "simple",
};

/// See `assets/nano/eval-i2v.json` and `eval-i2v-a14b.json`.
const NANO_I2V: Defaults = Defaults { cfg: 1.5, ..NANO };

/// The settings of people's guides to Wan2.1: guidance 6, shift 5, the wrapper's DPM++.
const WAN_21: Defaults = Defaults {
    width: 832,
    height: 480,
    frames: 81,
    fps: 16.0,
    steps: 20,
    cfg: 6.0,
    cfg_low: None,
    shift: 5.0,
    sampler: "wrapper:dpm++",
    scheduler: "simple",
};

/// ComfyUI's template. Its switch after 10 of 20 steps is where the level falls below the boundary of I2V.
const WAN_22_A14B: Defaults = Defaults {
    width: 1280,
    height: 704,
    frames: 81,
    fps: 16.0,
    steps: 20,
    cfg: 3.5,
    cfg_low: None,
    shift: 8.0,
    sampler: "euler",
    scheduler: "simple",
};

/// The step-distilled LoRAs of lightx2v, as their model card recommends for Wan2.1: LCM, shift 5, no guidance.
const WAN_21_4_STEPS: Defaults = Defaults { steps: 4, cfg: 1.0, sampler: "lcm", ..WAN_21 };

/// The same as ComfyUI's template for Wan2.2 has it: Euler, shift 5, the experts two steps each, since the third
/// level, 0.83, is below both boundaries.
const WAN_22_A14B_4_STEPS: Defaults = Defaults { steps: 4, cfg: 1.0, shift: 5.0, ..WAN_22_A14B };
