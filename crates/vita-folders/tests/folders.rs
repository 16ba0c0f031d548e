//! Listing and finding files, on a real disk.
#![allow(missing_docs, reason = "a program of its own, not an interface")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use vita_folders::{Error, Folders, Options, Place};

fn touch(path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, "").unwrap();
}

fn folders(base: &Path) -> Folders {
    Folders::new(Options { base: base.to_owned(), ..Options::default() }, &|_| None).unwrap()
}

#[test]
fn files_of_all_places_are_listed_once_and_sorted() {
    let home = tempfile::tempdir().unwrap();
    let models = home.path().join("models");
    for file in [
        "diffusion_models/wan.safetensors",
        "diffusion_models/Wan2.1/b.gguf",
        "diffusion_models/Wan2.1/notes.txt",
        "diffusion_models/.git/objects/x.safetensors",
        "unet/wan.safetensors",
        "unet/old.pth",
        "vae/wan2.1/Wan2_1_VAE_bf16.safetensors",
        "clip/t5.sft",
        "text_encoders/t5.bin",
    ] {
        touch(&models.join(file));
    }
    touch(&home.path().join("output/loras/mine.safetensors"));
    let folders = folders(home.path());
    assert_eq!(folders.files("diffusion_models"), ["Wan2.1/b.gguf", "old.pth", "wan.safetensors"]);
    assert_eq!(folders.files("unet"), folders.files("diffusion_models"));
    assert_eq!(folders.files("text_encoders"), ["t5.bin", "t5.sft"]);
    assert_eq!(folders.files("loras"), ["mine.safetensors"]);
    assert!(folders.files("nothing").is_empty() && folders.files("vae_approx").is_empty());
    assert_eq!(folders.find("diffusion_models", "wan.safetensors").unwrap(), models.join("unet/wan.safetensors"));
    let vae = models.join("vae/wan2.1/Wan2_1_VAE_bf16.safetensors");
    for name in
        ["wan2.1/Wan2_1_VAE_bf16.safetensors", "wan2.1\\Wan2_1_VAE_bf16.safetensors", "Wan2_1_VAE_bf16.safetensors"]
    {
        assert_eq!(folders.find("vae", name).unwrap(), vae, "{name}");
    }
    let error = folders.find("vae", "none.safetensors").unwrap_err();
    assert_eq!(error.to_string(), "`none.safetensors` is not in the folder `vae`");
    assert!(matches!(folders.find("nothing", "x"), Err(Error::UnknownCategory { .. })));
}

#[test]
fn changes_are_seen_and_repeats_are_cheap() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("models/loras");
    for index in 0..300 {
        touch(&folder.join(format!("style{}/lora{index}.safetensors", index % 10)));
    }
    let folders = folders(home.path());
    assert_eq!(folders.files("loras").len(), 300);
    // A new file, a removed one and a new folder change the stamp of a directory that was read.
    std::thread::sleep(std::time::Duration::from_millis(20));
    touch(&folder.join("style3/new.safetensors"));
    assert_eq!(folders.files("loras").len(), 301);
    std::thread::sleep(std::time::Duration::from_millis(20));
    fs::remove_file(folder.join("style4/lora4.safetensors")).unwrap();
    assert_eq!(folders.files("loras").len(), 300);
    std::thread::sleep(std::time::Duration::from_millis(20));
    touch(&folder.join("style10/deep/er.safetensors"));
    assert_eq!(folders.files("loras").len(), 301);

    let start = Instant::now();
    for _ in 0..100 {
        assert_eq!(folders.listing("loras").len(), 301);
    }
    // A fresh walk of 301 files takes milliseconds; a hundred remembered ones are far below a second even here.
    assert!(start.elapsed().as_millis() < 500, "{:?}", start.elapsed());
}

#[cfg(unix)]
#[test]
fn links_are_followed_but_not_in_circles() {
    use std::os::unix::fs::symlink;
    let home = tempfile::tempdir().unwrap();
    let disk = tempfile::tempdir().unwrap();
    touch(&disk.path().join("big/wan.safetensors"));
    let folder = home.path().join("models/loras");
    fs::create_dir_all(folder.join("a/b")).unwrap();
    symlink(disk.path().join("big"), folder.join("linked")).unwrap();
    symlink(disk.path().join("big/wan.safetensors"), folder.join("direct.safetensors")).unwrap();
    symlink(&folder, folder.join("a/b/round")).unwrap();
    symlink("/nowhere", folder.join("broken.safetensors")).unwrap();
    let folders = folders(home.path());
    assert_eq!(folders.files("loras"), ["direct.safetensors", "linked/wan.safetensors"]);
    assert!(folders.find("loras", "linked/wan.safetensors").is_ok());
}

#[test]
fn yaml_files_add_places() {
    let home = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir().unwrap();
    touch(&home.path().join("models/vae/a.safetensors"));
    touch(&other.path().join("VAE/a.safetensors"));
    touch(&other.path().join("VAE/b.safetensors"));
    touch(&other.path().join("odd/c.whatever"));
    let yaml = other.path().join("extra.yaml");
    let load = |text: &str| {
        fs::write(&yaml, text).unwrap();
        let options =
            Options { base: home.path().to_owned(), extra_model_paths: vec![yaml.clone()], ..Options::default() };
        Folders::new(options, &|_| None).unwrap()
    };
    let folders = load("x:\n  vae: VAE\n  unet: VAE\n  my_kind: odd\n");
    assert_eq!(folders.files("vae"), ["a.safetensors", "b.safetensors"]);
    assert_eq!(folders.find("vae", "a.safetensors").unwrap(), home.path().join("models/vae/a.safetensors"));
    assert_eq!(folders.files("diffusion_models").len(), 2);
    assert_eq!(folders.files("my_kind"), ["c.whatever"]);
    assert_eq!(folders.categories().last().unwrap().0, "my_kind");
    let folders = load("x:\n  is_default: true\n  vae: VAE\n");
    assert_eq!(folders.find("vae", "a.safetensors").unwrap(), other.path().join("VAE/a.safetensors"));
}

#[test]
fn aliases_are_offered_beside_files() {
    let home = tempfile::tempdir().unwrap();
    touch(&home.path().join("models/vae/real.safetensors"));
    let mut folders = folders(home.path());
    let built_in = PathBuf::from("/built/in.safetensors");
    folders.add_alias("vae", "wan2.1/Wan2_1_VAE_bf16.safetensors", built_in.clone());
    assert_eq!(folders.files("vae"), ["real.safetensors", "wan2.1/Wan2_1_VAE_bf16.safetensors"]);
    for name in
        ["wan2.1/Wan2_1_VAE_bf16.safetensors", "wan2.1\\Wan2_1_VAE_bf16.safetensors", "Wan2_1_VAE_bf16.safetensors"]
    {
        assert_eq!(folders.find("vae", name).unwrap(), built_in);
    }
    assert!(folders.alias("vae", "real.safetensors").is_none() && folders.has_aliases());
}

#[test]
fn places_lie_where_they_are_told() {
    let home = tempfile::tempdir().unwrap();
    let base = home.path().join("base");
    let options = Options {
        base: base.clone(),
        models: vec![home.path().join("weights"), home.path().join("more")],
        output: Some(home.path().join("out")),
        temp: Some(home.path().join("scratch")),
        ..Options::default()
    };
    let folders = Folders::new(options, &|_| None).unwrap();
    folders.create().unwrap();
    assert_eq!(folders.temp(), home.path().join("scratch/temp"));
    assert_eq!((folders.input(), folders.user()), (base.join("input").as_path(), base.join("user").as_path()));
    touch(&home.path().join("more/vae/x.sft"));
    assert_eq!(folders.files("vae"), ["x.sft"]);

    touch(&folders.output().join("a/b.png"));
    touch(&folders.input().join("in.png"));
    touch(&folders.input().join(".hidden"));
    assert_eq!(folders.annotated("a/b.png [output]").unwrap(), home.path().join("out/a/b.png"));
    assert_eq!(folders.annotated("in.png").unwrap(), base.join("input/in.png"));
    let error = folders.annotated("gone.png [temp]").unwrap_err();
    assert_eq!(error.to_string(), "`gone.png` is not in the folder `temp`");
    assert_eq!(folders.top_files(Place::Input), ["in.png"]);

    self::folders(&base).create().unwrap();
    for made in ["models/diffusion_models", "models/text_encoders", "models/vae", "input", "output", "temp", "user"] {
        assert!(base.join(made).is_dir(), "{made}");
    }

    touch(&folders.temp().join("left/over.png"));
    folders.empty_temp().unwrap();
    assert_eq!(fs::read_dir(folders.temp()).unwrap().count(), 0);
}
