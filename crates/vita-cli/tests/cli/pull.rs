//! `pull`, against both hubs on loopback.

use std::fs;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{Ended, Folder, ended};

#[path = "../../../vita-hub/tests/fake/mod.rs"]
mod fake;

use fake::{Act, FakeHub, noise};

const REPOSITORY: &str = "Comfy-Org/Wan_2.1_ComfyUI_repackaged";
const DIT: &str = "diffusion_models/wan2.1_t2v_1.3B_bf16.safetensors";
const FILES: [&str; 3] = [DIT, "text_encoders/umt5_xxl_fp8_e4m3fn_scaled.safetensors", "vae/wan_2.1_vae.safetensors"];

/// A hub with the files of the smallest system, in small.
fn hub() -> FakeHub {
    let hub = FakeHub::start();
    for (index, file) in FILES.iter().enumerate() {
        hub.put(REPOSITORY, &format!("split_files/{file}"), noise(200_000 + index));
    }
    hub
}

fn command(folder: &Folder, hub: &FakeHub, more: &[&str]) -> Command {
    let mut command = folder.command(&["pull", "wan2.1-t2v-1.3b", "--endpoint", &hub.endpoint]);
    command.args(more);
    without_environment(&mut command, folder);
    command
}

/// Nothing of the machine's own tokens, mirrors and proxies.
fn without_environment(command: &mut Command, folder: &Folder) {
    for name in ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_ENDPOINT", "HF_HOME", "HF_TOKEN_PATH", "XDG_CACHE_HOME"] {
        command.env_remove(name);
    }
    for name in ["MODELSCOPE_API_TOKEN", "MODELSCOPE_ENDPOINT", "MODELSCOPE_DOMAIN"] {
        command.env_remove(name);
    }
    for name in ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        command.env_remove(name);
    }
    command.env("HOME", folder.path());
}

fn pull(folder: &Folder, hub: &FakeHub, more: &[&str]) -> Ended {
    ended(command(folder, hub, more).output().expect("the command starts"))
}

/// Checks that the models folder holds what the hub holds, and nothing else.
#[track_caller]
fn assert_whole(folder: &Folder) {
    for (index, file) in FILES.iter().enumerate() {
        let path = folder.path().join("models").join(file);
        assert!(fs::read(&path).unwrap() == noise(200_000 + index), "{file}");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "{file} alone");
    }
}

#[test]
fn the_files_of_a_preset_come_and_stay() {
    let (folder, hub) = (Folder::new(), hub());
    let first = pull(&folder, &hub, &["--yes"]);
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    assert_whole(&folder);
    let paths: Vec<String> = FILES.iter().map(|file| format!("models/{file}\n")).collect();
    assert_eq!(first.stdout, paths.concat());
    for line in [
        &format!("wan2.1-t2v-1.3b (Wan2.1 T2V 1.3B) from {}", hub.endpoint),
        "    195 KiB  diffusion_models/wan2.1_t2v_1.3B_bf16.safetensors\n",
        &format!("licence of {}/{REPOSITORY}: apache-2.0", hub.endpoint),
        "586 KiB to download to models, ",
    ] {
        assert!(first.stderr.contains(line), "{line} in {}", first.stderr);
    }

    hub.requests();
    let second = pull(&folder, &hub, &[]);
    assert_eq!(second.code, Some(0), "{}", second.stderr);
    assert!(second.stderr.contains("vae/wan_2.1_vae.safetensors  is there\n"), "{}", second.stderr);
    assert!(second.stderr.contains("everything is in models"), "{}", second.stderr);
    assert!(hub.requests().iter().all(|request| !request.is_for_bytes()), "no byte came twice");
}

#[test]
fn modelscope_and_its_token() {
    let (folder, hub) = (Folder::new(), hub());
    let mut command = command(&folder, &hub, &["--yes", "--from", "modelscope"]);
    let ended = ended(command.env("MODELSCOPE_API_TOKEN", "ms-1").output().unwrap());
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_whole(&folder);
    assert!(ended.stderr.contains("Apache License 2.0"), "{}", ended.stderr);
    assert!(hub.requests().iter().all(|request| request.headers["authorization"] == "Bearer ms-1"));
}

#[test]
fn a_mirror_and_a_token_of_the_environment() {
    let (folder, hub) = (Folder::new(), hub());
    let mut command = folder.command(&["pull", "wan2.1-t2v-1.3b", "--yes"]);
    without_environment(&mut command, &folder);
    fs::create_dir_all(folder.path().join(".cache/huggingface")).unwrap();
    folder.write(".cache/huggingface/token", "hf_kept\n");
    let ended = ended(command.env("HF_ENDPOINT", &hub.endpoint).output().unwrap());
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_whole(&folder);
    let (at_storage, at_hub): (Vec<_>, Vec<_>) = hub.requests().into_iter().partition(|request| request.at_storage);
    assert!(at_hub.iter().all(|request| request.headers["authorization"] == "Bearer hf_kept"));
    assert!(at_storage.iter().all(|request| !request.headers.contains_key("authorization")));
}

#[test]
fn nothing_comes_unasked() {
    let (folder, hub) = (Folder::new(), hub());
    let ended = pull(&folder, &hub, &[]);
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.stderr.ends_with("error: nothing was downloaded\n\nhint: answer y, or add --yes\n"),
        "{}",
        ended.stderr
    );
    assert!(!folder.path().join("models").exists());
}

#[test]
fn files_of_others_are_not_replaced_unasked() {
    let (folder, hub) = (Folder::new(), hub());
    fs::create_dir_all(folder.path().join("models/diffusion_models")).unwrap();
    folder.write(&format!("models/{DIT}"), "half a model");
    let refused = pull(&folder, &hub, &["--yes"]);
    assert_eq!(refused.code, Some(1));
    let want = format!(
        "error: `models/{DIT}` is not the hub's file: it has 12 bytes instead of 200000\n\nhint: add --replace"
    );
    assert!(refused.stderr.contains(&want), "{}", refused.stderr);
    assert_eq!(pull(&folder, &hub, &["--yes", "--replace"]).code, Some(0));
    assert_whole(&folder);
}

#[test]
fn small_models_and_unknown_ones_need_no_hub() {
    let folder = Folder::new();
    let text = folder.success(&["pull", "nano-ti2v"]);
    assert_eq!(text, "`nano-ti2v` is part of this program: there is nothing to pull\n");
    let unknown = folder.run(&["pull", "wan9"]);
    assert!(unknown.stderr.starts_with("error: no model is called `wan9`"), "{}", unknown.stderr);
    assert!(unknown.stderr.contains("hint: the models are: nano-t2v"), "{}", unknown.stderr);
    let unknown = folder.run(&["pull", "wan2.1-t2v-1.3b", "--use", "x.gguf"]);
    assert!(unknown.stderr.contains("`wan2.1-t2v-1.3b` knows no file `x.gguf`"), "{}", unknown.stderr);
    let wrong = folder.run(&["pull", "wan2.1-t2v-1.3b", "--endpoint", "hub.example"]);
    assert!(wrong.stderr.starts_with("error: `hub.example` is no address of a hub"), "{}", wrong.stderr);
}

#[test]
fn refusals_are_told_before_anything_comes() {
    let (folder, hub) = (Folder::new(), hub());
    hub.rule(|_| Act::Refuse(401, &[], ""));
    let refused = pull(&folder, &hub, &["--yes"]);
    assert_eq!(refused.code, Some(1));
    let want = format!("error: Hugging Face lets nobody read `{REPOSITORY}` without a token\n\nhint: make a token at");
    assert!(refused.stderr.starts_with(&want), "{}", refused.stderr);
    assert!(!folder.path().join("models").exists());
}

/// Neither a connection that comes nor one that is silent keeps Ctrl-C waiting.
#[test]
#[cfg(unix)]
fn a_stop_by_the_user() {
    let (folder, hub) = (Folder::new(), hub());
    hub.rule(|request| if request.at_storage { Act::Stall(150_000) } else { Act::Serve });
    let start = Instant::now();
    let child = command(&folder, &hub, &["--yes"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let partial = folder.path().join("models").join(format!("{DIT}.partial"));
    while !partial.exists() && start.elapsed() < Duration::from_secs(20) {
        thread::sleep(Duration::from_millis(5));
    }
    thread::sleep(Duration::from_millis(100));
    let stopped = Instant::now();
    let status = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(status.success());
    let ended = ended(child.wait_with_output().unwrap());
    assert_eq!(ended.code, Some(130), "{}", ended.stderr);
    assert!(ended.stderr.contains("error: the download was stopped\n\nhint: what came is kept"), "{}", ended.stderr);
    assert!(stopped.elapsed() < Duration::from_secs(4), "{:?}", stopped.elapsed());
    hub.rule(|_| Act::Serve);
    assert_eq!(pull(&folder, &hub, &["--yes"]).code, Some(0));
    assert_whole(&folder);
}

/// A limit on files' sizes is the disk that every system can fill.
#[test]
#[cfg(unix)]
fn a_file_that_the_disk_does_not_take() {
    let (folder, hub) = (Folder::new(), hub());
    let limited = |blocks: &str, more: &[&str]| {
        let plain = command(&folder, &hub, more);
        let mut shell = Command::new("sh");
        // Blocks of 512 bytes; the signal that the limit comes with would end the program without a word.
        shell.args(["-c", "trap '' XFSZ; ulimit -f \"$0\"; exec \"$@\"", blocks]);
        shell.arg(plain.get_program()).args(plain.get_args()).current_dir(folder.path());
        without_environment(&mut shell, &folder);
        ended(shell.output().unwrap())
    };
    let full = limited("100", &["--yes"]);
    assert_eq!(full.code, Some(1), "{}", full.stderr);
    let want = format!("error: cannot write `models/{DIT}.partial`\n  caused by: File too large");
    assert!(full.stderr.contains(&want), "{}", full.stderr);
    assert!(full.stderr.contains("hint: files may not be that large there: choose another disk"), "{}", full.stderr);
    assert_eq!(pull(&folder, &hub, &["--yes"]).code, Some(0));
    assert_whole(&folder);
}

/// A small disk, where the system lets its users make some.
#[test]
#[cfg(target_os = "linux")]
fn a_full_disk() {
    let (folder, hub) = (Folder::new(), hub());
    fs::create_dir_all(folder.path().join("models")).unwrap();
    let plain = command(&folder, &hub, &["--yes"]);
    let run = |script: &str| {
        let mut shell = Command::new("unshare");
        shell.args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]);
        shell.arg(plain.get_program()).args(plain.get_args()).current_dir(folder.path());
        without_environment(&mut shell, &folder);
        shell.output().ok().map(ended)
    };
    let told = run("mount -t tmpfs -o size=300k none models || exit 77; \"$@\"");
    let Some(told) = told.filter(|told| told.code != Some(77) && !told.stderr.starts_with("unshare:")) else {
        eprintln!("skipped: this system lets nobody mount a small disk");
        return;
    };
    // What is known to be too much is not begun.
    assert_eq!(told.code, Some(1), "{}", told.stderr);
    assert!(told.stderr.contains("error: `models` has 300 KiB free, and 586 KiB are needed"), "{}", told.stderr);

    // Another writer takes what is free when the first bytes are asked for.
    let (go, done) = (folder.path().join("go"), folder.path().join("done"));
    hub.rule(move |request| {
        if request.at_storage && !go.exists() {
            fs::write(&go, "").unwrap();
            let start = Instant::now();
            while !done.exists() && start.elapsed() < Duration::from_secs(20) {
                thread::sleep(Duration::from_millis(5));
            }
        }
        Act::Serve
    });
    let full = run("mount -t tmpfs -o size=900k none models || exit 77; \
                    ( while [ ! -e go ]; do sleep 0.01; done; cat /dev/zero >models/filler 2>/dev/null; touch done ) & \
                    \"$@\"; code=$?; wait; rm models/filler; \"$@\" >again 2>&1; echo $? >again.code; exit $code");
    let full = full.unwrap();
    assert_eq!(full.code, Some(1), "{}", full.stderr);
    let want = format!("error: cannot write `models/{DIT}.partial`\n  caused by: No space left on device");
    assert!(full.stderr.contains(&want), "{}", full.stderr);
    assert!(full.stderr.contains("hint: free some space and pull again; what came is kept"), "{}", full.stderr);
    let again = fs::read_to_string(folder.path().join("again")).unwrap();
    assert_eq!(fs::read_to_string(folder.path().join("again.code")).unwrap().trim(), "0", "{again}");
}
